// Labels of 30 classes on a grid of 512 x 512 x 600 voxels within 4 GiB: scores of patches are summed,
// resampled and reduced slab by slab. The network is one 1x1x1 convolution, so that time and memory are those
// of the export, unless --network names another, of random weights. Prints the stated peak, the largest
// memory that the process took, and the time; with --json an array of objects.

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

struct Options {
  std::vector<int64_t> size{512, 512, 600};
  int64_t classes = 30, patch = 128, order = 1;
  double spacing = 1, memory_gib = 4, step = 0.5;
  int threads = 2;
  std::string network, settings = "{}", labels;
  bool json = false;
};

std::shared_ptr<Network> network_of(const Options& options) {
  if (options.network.empty()) return std::make_shared<Pointwise>(options.classes);
  torch::manual_seed(1);
  Json config = Json::parse(options.settings);
  config["name"] = options.network;
  config["classes"] = options.classes;
  auto network = make_network(config);
  network->eval();
  return network;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void print_rows(const Options& options, double preparation_s, double prediction_s, double stated_gib) {
  std::string name;
  for (const int64_t edge : options.size) name += (name.empty() ? "" : " x ") + std::to_string(edge);
  Json rows = Json::array();
  const auto add = [&](const std::string& what, const char* unit, double value) {
    rows.push_back({{"case", what + name},
                    {"unit", unit},
                    {"ours", value},
                    {"reference", Json()},
                    {"threads", options.threads}});
  };
  add("preparation, ", "s", preparation_s);
  const std::string prediction = (options.network.empty() ? "export" : options.network) + ", " +
                                 std::to_string(options.classes) + " classes, ";
  add(prediction, "s", prediction_s);
  add("largest memory of " + prediction, "GiB", peak_gib());
  add("stated memory of " + prediction, "GiB", stated_gib);
  std::printf("%s\n", rows.dump(1).c_str());
}

void run(const Options& options) {
  Plan plan;
  plan.conform = "spacing";
  plan.conform_order = options.order;
  plan.spacing = {options.spacing, options.spacing, options.spacing};
  plan.orientation = "RAS";
  plan.intensity = "zscore_all";
  plan.crop_to_brain = false;
  plan.patch = {options.patch, options.patch, options.patch};
  plan.window = "gaussian";
  plan.step_fraction = options.step;
  Model model;
  model.network = network_of(options);
  model.info.network = {{"in_channels", 1}, {"classes", options.classes}};
  PredictorSettings settings;
  settings.memory_gib = options.memory_gib;
  const Predictor predictor({model}, plan, settings);
  PreparedImage prepared;
  double preparation_s = 0;
  {
    Image image;
    image.geometry.size = {options.size.at(0), options.size.at(1), options.size.at(2)};
    std::vector<int16_t> voxels(static_cast<size_t>(image.geometry.voxel_count()));
    for (size_t v = 0; v < voxels.size(); ++v) voxels[v] = static_cast<int16_t>(v * 2654435761u >> 20);
    image.voxels = std::move(voxels);
    const auto start = std::chrono::steady_clock::now();
    prepared = prepare_image(image, plan);
    preparation_s = seconds_since(start);
  }
  const double before_gib = peak_gib();
  const Work work = predictor.plan_work(prepared);
  if (!options.json) {
    std::printf("memory before the network runs: %.2f GiB at most\n", before_gib);
    std::printf("%s\n", describe(work, plan, plan.step).c_str());
    std::fflush(stdout);
  }
  const auto start = std::chrono::steady_clock::now();
  const Volume<int32_t> labels = predictor.labels(std::move(prepared), work);
  const double seconds = seconds_since(start), stated_gib = static_cast<double>(work.peak_bytes) / (1 << 30);
  if (options.json)
    print_rows(options, preparation_s, seconds, stated_gib);
  else
    std::printf(
        "stated %.2f GiB, largest memory of the process %.2f GiB, allowed %.2f GiB, %.1f s, %zu labels\n",
        stated_gib, peak_gib(), options.memory_gib, seconds, labels.voxels.size());
  if (options.labels.empty()) return;
  std::ofstream out(options.labels, std::ios::binary);
  for (const int32_t label : labels.voxels) out.put(static_cast<char>(label));
  require(out.flush().good(), options.labels, ": cannot be written");
}

}  // namespace
}  // namespace mambaseg

int main(int argc, char** argv) {
  CLI::App app{"Export of many classes on a large grid within a budget"};
  mambaseg::Options options;
  app.add_option("--size", options.size, "Voxels of the file")->expected(3);
  app.add_option("--classes", options.classes, "Classes with background");
  app.add_option("--patch", options.patch, "Edge of the patches");
  app.add_option("--step", options.step, "Patches between neighbouring patches, at most");
  app.add_option("--spacing", options.spacing, "Voxel edge of the network's grid; the file has 1 mm");
  app.add_option("--order", options.order, "Interpolation to the network's grid: 1 linear, 3 cubic spline");
  app.add_option("--memory", options.memory_gib, "GiB");
  app.add_option("--threads", options.threads, "Threads");
  app.add_option("--network", options.network, "As mambaseg networks lists it, in place of the convolution");
  app.add_option("--settings", options.settings, "of --network, as JSON");
  app.add_option("--labels", options.labels, "File for the labels, a byte a voxel, to compare versions by");
  app.add_flag("--json", options.json);
  CLI11_PARSE(app, argc, argv);
  mambaseg::cache_tensor_blocks();
  torch::set_num_threads(options.threads);
  mambaseg::run(options);
  return 0;
}
