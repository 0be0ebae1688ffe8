#include "tests/golden_check/unet_check.h"

#include "mambaseg/nets/weights.h"

namespace mambaseg {
namespace {

/// One extent a stage from "one number", "one number an axis" or "one list a stage".
std::vector<Extent> extents(const Json& given, int64_t stages, int64_t dimension) {
  const auto count = static_cast<size_t>(stages), axes = static_cast<size_t>(dimension);
  if (given.is_number()) return std::vector<Extent>(count, Extent(axes, given.get<int64_t>()));
  std::vector<Extent> out;
  for (const Json& stage : given)
    out.push_back(stage.is_number() ? Extent(axes, stage.get<int64_t>()) : stage.get<Extent>());
  return out;
}

}  // namespace

std::vector<int64_t> per_stage_argument(const GoldenCase& golden, const char* name) {
  const Json& given = golden.args.at(name);
  return given.is_number() ? std::vector<int64_t>{given.get<int64_t>()} : given.get<std::vector<int64_t>>();
}

void read_shape(const GoldenCase& golden, int64_t dimension, UNetShape& shape) {
  const int64_t stages = golden.args.at("n_stages");
  shape.dimension = dimension;
  shape.in_channels = golden.args.at("input_channels");
  shape.classes = golden.args.at("num_classes");
  shape.features = per_stage(per_stage_argument(golden, "features_per_stage"), stages, "features_per_stage");
  shape.kernels = extents(golden.args.at("kernel_sizes"), stages, dimension);
  shape.strides = extents(golden.args.at("strides"), stages, dimension);
  shape.deep_supervision = argument(golden, "deep_supervision", false);
}

GoldenResult check_unet(const GoldenCase& golden, const std::shared_ptr<Network>& network) {
  load_weights(*network, golden.weights());
  network->train();  // scores of all scales; these networks have nothing else that training changes
  const bool gradients = golden.has("grad_output");
  const torch::Tensor x = golden_input(golden, "x").clone().requires_grad_(gradients);
  torch::AutoGradMode mode(gradients);
  const std::vector<torch::Tensor> scores = network->forward(x);
  GoldenComparison comparison(golden);
  for (size_t i = 0; i < scores.size(); ++i) comparison.output("y" + std::to_string(i), scores[i]);
  if (gradients) {
    (scores[0] * golden.at("grad_output")).sum().backward();
    comparison.gradient("input.x", x.grad());
    for (const auto& parameter : network->named_parameters())
      comparison.gradient("weights." + parameter.key(), parameter.value().grad());
  }
  return comparison.result();
}

}  // namespace mambaseg
