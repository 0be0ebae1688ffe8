#include "mambaseg/nets/model/checkpoint.h"

#include "mambaseg/io/safetensors.h"
#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/nets/model/tensor_file.h"
#include "mambaseg/nets/model/weights.h"

namespace mambaseg {
namespace {

constexpr const char* kVersionKey = "mambaseg";
constexpr const char* kVersion = "1";

Json metadata_json(const TensorFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  require(found != file.metadata.end(), "no \"", key, "\" in the metadata");
  const Json value = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  require(value.is_object(), "\"", key, "\" in the metadata is not a JSON object");
  return value;
}

ModelInfo read_info(const TensorFile& file) {
  const auto version = file.metadata.find(kVersionKey);
  require(version != file.metadata.end(), "these are bare weights, not a model of mambaseg (no \"",
          kVersionKey, "\" in the metadata; mambaseg convert makes models)");
  require(version->second == kVersion, "the model has format version ", version->second,
          ", this program reads ", kVersion);
  return {metadata_json(file, "network"), metadata_json(file, "plan"), metadata_json(file, "recipe"),
          metadata_json(file, "history")};
}

}  // namespace

StoredWeights stored_weights_named(const std::string& name) {
  if (name == "fp32") return StoredWeights::as_they_are;
  if (name == "bf16") return StoredWeights::bf16;
  throw UsageError("weights: expected fp32 or bf16, got " + name);
}

void save_model(const std::string& path, const Network& network, const ModelInfo& info,
                StoredWeights stored) {
  Weights weights = weights_of(network);
  if (stored == StoredWeights::bf16)
    for (auto& [name, value] : weights)
      if (value.is_floating_point() && value.dim() >= 2) value = value.to(torch::kBFloat16);
  TensorFile file = to_tensor_file({weights.begin(), weights.end()});
  file.metadata = {{kVersionKey, kVersion},
                   {"network", info.network.dump()},
                   {"plan", info.plan.dump()},
                   {"recipe", info.recipe.dump()},
                   {"history", info.history.dump()}};
  write_safetensors(path, file);
}

ModelInfo read_model_info(const std::string& path) {
  const TensorFile file = read_safetensors(path);
  return with_context(path, [&] { return read_info(file); });
}

Model load_model(const std::string& path, torch::Device device) {
  const TensorFile file = read_safetensors(path);
  return with_context(path, [&] {
    Model model;
    model.info = read_info(file);
    model.network = with_context("network", [&] {
      const UnfilledWeightsGuard read_below;
      return make_network(model.info.network);
    });
    Weights weights;
    for (const StoredTensor& tensor : file.tensors) weights[tensor.name] = to_tensor(tensor);
    with_context(model.info.network["name"].get<std::string>(),
                 [&] { load_weights(*model.network, weights); });
    model.network->to(device);
    model.network->eval();
    return model;
  });
}

}  // namespace mambaseg
