// Labels of 30 classes on a grid of 512 x 512 x 600 voxels within 4 GiB: scores of patches are summed,
// resampled and reduced slab by slab. The network is one 1x1x1 convolution, so that time and memory are those
// of the export. Prints the stated peak, the largest memory that the process took, and the time.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

#include <torch/types.h>
#include <torch/utils.h>

#include "mambaseg/core/error.h"
#include "mambaseg/core/memory.h"
#include "mambaseg/infer/predictor.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/ops/block_cache.h"

namespace mambaseg {
namespace {

/// The nearer the voxel is to a class's number within -2 .. 2, the higher is its score.
class Pointwise : public Network {
 public:
  explicit Pointwise(int64_t classes) : conv_(register_module("conv", conv(3, 1, classes, 1))) {
    const torch::NoGradGuard no_grad;
    const auto centres = torch::linspace(-2, 2, classes);
    for (auto& [name, value] : conv_->named_parameters().pairs())
      value.copy_((name == "bias" ? -2 * centres.square() : 4 * centres).view_as(value));
  }
  Extent size_multiples() const override { return {1, 1, 1}; }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override { return {conv_->forward(x)}; }

 private:
  std::shared_ptr<Convolution> conv_;
};

double peak_gib() { return static_cast<double>(mambaseg::peak_memory_bytes()) / (1 << 30); }

void run(const std::vector<int64_t>& size, int64_t classes, int64_t patch, double spacing, double memory_gib,
         const std::string& labels_file) {
  Plan plan;
  plan.conform = "spacing";
  plan.spacing = {spacing, spacing, spacing};
  plan.orientation = "RAS";
  plan.intensity = "zscore_all";
  plan.crop_to_brain = false;
  plan.patch = {patch, patch, patch};
  plan.window = "gaussian";
  Model model;
  model.network = std::make_shared<Pointwise>(classes);
  model.info.network = {{"in_channels", 1}, {"classes", classes}};
  PredictorSettings settings;
  settings.memory_gib = memory_gib;
  const Predictor predictor({model}, plan, settings);
  PreparedImage prepared;
  {
    Image image;
    image.geometry.size = {size.at(0), size.at(1), size.at(2)};
    std::vector<int16_t> voxels(static_cast<size_t>(image.geometry.voxel_count()));
    for (size_t v = 0; v < voxels.size(); ++v) voxels[v] = static_cast<int16_t>(v * 2654435761u >> 20);
    image.voxels = std::move(voxels);
    prepared = prepare_image(image, plan);
  }
  std::printf("memory before the network runs: %.2f GiB at most\n", peak_gib());
  const Work work = predictor.plan_work(prepared);
  std::printf("%s\n", describe(work, plan, plan.step).c_str());
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  const Volume<int32_t> labels = predictor.labels(std::move(prepared), work);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf(
      "stated %.2f GiB, largest memory of the process %.2f GiB, allowed %.2f GiB, %.0f s, %zu labels\n",
      static_cast<double>(work.peak_bytes) / (1 << 30), peak_gib(), memory_gib, seconds,
      labels.voxels.size());
  if (labels_file.empty()) return;
  std::ofstream out(labels_file, std::ios::binary);
  for (const int32_t label : labels.voxels) out.put(static_cast<char>(label));
  require(out.flush().good(), labels_file, ": cannot be written");
}

}  // namespace
}  // namespace mambaseg

int main(int argc, char** argv) {
  CLI::App app{"Export of many classes on a large grid within a budget"};
  std::vector<int64_t> size{512, 512, 600};
  int64_t classes = 30, patch = 128;
  double spacing = 1, memory_gib = 4;
  int threads = 2;
  std::string labels;
  app.add_option("--size", size, "Voxels of the file")->expected(3);
  app.add_option("--classes", classes, "Classes with background");
  app.add_option("--patch", patch, "Edge of the patches");
  app.add_option("--spacing", spacing, "Voxel edge of the network's grid; the file has 1 mm");
  app.add_option("--memory", memory_gib, "GiB");
  app.add_option("--threads", threads, "Threads");
  app.add_option("--labels", labels, "File for the labels, a byte a voxel, to compare versions by");
  CLI11_PARSE(app, argc, argv);
  mambaseg::cache_tensor_blocks();
  torch::set_num_threads(threads);
  mambaseg::run(size, classes, patch, spacing, memory_gib, labels);
  return 0;
}
