// A network on one patch (MedSegMamba at the paper's size unless --network names another): seconds and
// largest memory of a prediction, or of a training step's forward and backward pass, checked against and
// timed beside the same network run by plain LibTorch in fp32 in the same process. Random weights. Prints a
// table, or with --json an array of objects. On a GPU the memory is that of its tensors, and the precisions
// include tf32.

#include <ATen/Parallel.h>
#include <torch/nn/modules/dropout.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>

#include "bench/measurement.h"
#include "bench/training_pass.h"
#include "mambaseg/core/memory.h"
#include "mambaseg/nets/layers/recompute.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/block_cache.h"
#include "mambaseg/ops/cuda_stream.h"
#include "mambaseg/ops/dense.h"
#include "mambaseg/ops/plain_libtorch.h"

namespace {

using mambaseg::Json;
using torch::Tensor;

struct Options {
  std::string network = "medsegmamba", settings = "{}";
  std::vector<std::string> precisions{"fp32", "bf16"};
  std::vector<int64_t> patch;
  torch::Device device = torch::kCPU;
  int64_t batch = 1;
  int threads = 2, runs = 2;
  bool json = false, reference = true, training_step = false, any_difference = false, recompute = false;
};

/// Difference of the class scores in root mean square, relative, that the precision explains: fp32 sums of
/// 10^4 terms in another order, bf16 numbers of 8 bits through some tens of layers. Single voxels may differ
/// by more: with random weights, norms over few or nearly equal voxels amplify. Gradients come through every
/// layer twice: LBMNet's in fp32 were up to 1e-3 off those in double, parameter by parameter.
double error_bound(const std::string& precision, bool of_gradients) {
  if (precision == "bf16") return of_gradients ? 0.5 : 0.2;
  // TF32 has three bits more than bf16, so an eighth of its error; a quarter is allowed.
  if (precision == "tf32") return error_bound("bf16", of_gradients) / 4;
  return of_gradients ? 1e-2 : 1e-3;
}

double root_mean_square(const Tensor& x) { return x.square().mean().sqrt().item<double>(); }

void switch_dropout_off(mambaseg::Network& network) {
  for (const auto& module : network.modules())
    if (module->as<torch::nn::DropoutImpl>()) module->eval();
}

/// Gradients of all weights, one after another.
Tensor gradients(const mambaseg::Network& network) {
  std::vector<Tensor> all;
  for (const Tensor& parameter : network.parameters())
    if (parameter.grad().defined()) all.push_back(parameter.grad().flatten());
  return torch::cat(all);
}

/// Class scores.
Tensor prediction(mambaseg::Network& network, const Tensor& patch, const std::string& precision) {
  const torch::NoGradGuard no_grad;
  return network.forward(precision == "bf16" ? patch.to(torch::kBFloat16) : patch)[0].to(torch::kFloat32);
}

/// Makes the largest memory start again from what is in use.
void forget_peak(torch::Device device) {
  if (device.is_cuda()) return mambaseg::forget_cuda_peak(device);
  mambaseg::forget_peak_memory();
}

double peak_gib(torch::Device device) {
  const auto bytes = device.is_cuda() ? mambaseg::cuda_peak_bytes(device) : mambaseg::peak_memory_bytes();
  return static_cast<double>(bytes) / (1 << 30);
}

Json measurement(const std::string& name, const char* unit, double ours, double reference, double max_error,
                 int threads, const std::string& target) {
  const auto known = [](double value) { return value > 0 ? Json(value) : Json(); };
  return {{"case", name},
          {"unit", unit},
          {"ours", ours},
          {"reference", known(reference)},
          {"ratio", known(reference / ours)},
          {"max_error", max_error >= 0 ? Json(max_error) : Json()},
          {"threads", threads},
          {"target", target}};
}

int run(const Options& options) {
  mambaseg::cache_tensor_blocks();
  torch::set_num_threads(options.threads);
  torch::manual_seed(1);
  Json config = Json::parse(options.settings);
  config["name"] = options.network;
  const auto network = mambaseg::make_network(config);
  network->to(options.device);
  network->train(options.training_step);
  switch_dropout_off(*network);
  if (options.recompute) mambaseg::recompute_blocks(*network);
  Tensor scores;
  const auto work = [&](const Tensor& patch, const std::string& precision) {
    if (options.training_step)
      mambaseg::training_pass(*network, patch, precision);
    else
      scores = prediction(*network, patch, precision);
  };
  const auto result = [&] { return options.training_step ? gradients(*network) : scores; };
  const mambaseg::NetworkEntry& entry = mambaseg::find_network(options.network);
  std::vector<int64_t> sizes{options.batch,
                             config.value("in_channels", entry.settings().at("in_channels").get<int64_t>())};
  const int axes = config.value("dims", entry.settings().value("dims", entry.dims.front()));
  const int64_t edge = axes == 3 ? 96 : 256;
  for (int axis = 0; axis < axes; ++axis)
    sizes.push_back(options.patch.empty() ? edge
                                          : options.patch[std::min<size_t>(axis, options.patch.size() - 1)]);
  const Tensor patch = torch::rand(sizes).to(options.device);
  std::string name = options.network;
  for (size_t i = 0; i < sizes.size(); ++i) name += (i ? "x" : " ") + std::to_string(sizes[i]);
  if (options.training_step) name += " training step";

  const auto best_s = [&](int runs, const std::function<void()>& once) {
    return mambaseg::best_of(runs, [&] { return mambaseg::seconds(options.device, once); });
  };
  struct Ours {
    Tensor result;
    double seconds, gib;
  };
  std::vector<Ours> ours;
  for (const std::string& precision : options.precisions) {
    mambaseg::allow_tf32(precision == "tf32");
    forget_peak(options.device);
    const double seconds = best_s(options.runs + 1, [&] { work(patch, precision); });
    const double gib = peak_gib(options.device);
    ours.push_back({result(), seconds, gib});
  }
  Tensor exact;
  double reference_s = 0, reference_gib = 0;
  if (options.reference) {
    const mambaseg::PlainLibTorchGuard plain;
    mambaseg::allow_tf32(false);
    forget_peak(options.device);
    reference_s = best_s(options.runs, [&] { work(patch, "fp32"); });
    reference_gib = peak_gib(options.device);
    exact = result();
  }

  const std::string target = options.device.is_cuda() ? "CUDA" : mambaseg::dense_target();
  bool correct = true;
  Json lines = Json::array();
  for (size_t i = 0; i < ours.size(); ++i) {
    const double error =
        exact.defined() ? ((ours[i].result - exact).abs().max() / exact.abs().max()).item<double>() : -1;
    const std::string which = name + " " + options.precisions[i];
    const double bound = error_bound(options.precisions[i], options.training_step);
    if (const double rms =
            exact.defined() ? root_mean_square(ours[i].result - exact) / root_mean_square(exact) : 0;
        !(rms <= bound)) {
      correct = correct && options.any_difference && std::isfinite(rms);
      std::fprintf(stderr, "bench_network: %s differs by %.2g in root mean square, expected at most %.2g\n",
                   which.c_str(), rms, bound);
    }
    lines.push_back(measurement(which, "s", ours[i].seconds, reference_s, error, options.threads, target));
    lines.push_back(measurement(which + ", largest memory", "GiB", ours[i].gib, reference_gib, -1,
                                options.threads, target));
  }
  if (options.json) {
    std::printf("%s\n", lines.dump(2).c_str());
  } else {
    for (const Json& line : lines)
      std::printf("%-52s %8.3f %-4s reference %s, ratio %s, error %s\n",
                  line["case"].get<std::string>().c_str(), line["ours"].get<double>(),
                  line["unit"].get<std::string>().c_str(), line["reference"].dump().c_str(),
                  line["ratio"].dump().c_str(), line["max_error"].dump().c_str());
    std::printf("reference: plain LibTorch fp32; %d threads, %s\n", options.threads, target.c_str());
  }
  return correct ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Times a network on one patch beside plain LibTorch.");
  app.add_option("--network", options.network, "Name, as mambaseg networks lists it")->capture_default_str();
  app.add_option("--settings", options.settings, "Settings of the network as JSON, instead of the paper's");
  std::string device = "cpu";
  app.add_option("--device", device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--precision", options.precisions, "fp32, bf16 or both; on a GPU tf32, too")
      ->check(CLI::IsMember({"fp32", "tf32", "bf16"}))
      ->delimiter(',');
  app.add_option("--patch", options.patch, "Edges; one number stands for all")->delimiter(',');
  app.add_option("--batch", options.batch, "Patches at once")->capture_default_str();
  app.add_option("--threads", options.threads)->capture_default_str();
  app.add_option("--runs", options.runs, "Best of so many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag(
      "--training-step", options.training_step,
      "Forward and backward in training mode instead of a prediction; gradients are compared, so switch "
      "random paths off (--settings '{\"drop_path\": 0}')");
  app.add_flag("--recompute", options.recompute, "With --training-step: as training.recompute has it");
  app.add_flag(
      "--any-difference", options.any_difference,
      "Differences beyond the precision are told, but no failure: random weights make some networks' "
      "norms divide by next to nothing");
  app.add_flag("!--no-reference", options.reference, "Neither check nor time plain LibTorch");
  app.add_flag("--json", options.json);
  CLI11_PARSE(app, argc, argv);
  options.device = mambaseg::device_named(device);
  return run(options);
}
