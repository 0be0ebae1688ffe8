// What adding gradients up over ranks costs: started as a training is (torchrun, srun), every rank takes
// training steps of a network on random numbers, alone and with the sums on their way behind the backward
// pass, and the sums without a step. Rank 0 prints one line of JSON. bench/ranks_on_a_link.py runs it over a
// link of given speed.

#include <ATen/Parallel.h>
#include <torch/nn/modules/dropout.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "bench/measurement.h"
#include "bench/training_pass.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/block_cache.h"
#include "mambaseg/train/gradient_sums.h"
#include "mambaseg/train/launcher.h"

namespace {

using mambaseg::Json;
using torch::Tensor;

struct Options {
  std::string network = "hym_unet", settings = "{}", precision = "fp32";
  std::vector<int64_t> shape{4, 3, 256, 256};
  int threads = 1, runs = 3;
};

int run(const Options& options) {
  mambaseg::cache_tensor_blocks();
  torch::set_num_threads(options.threads);
  mambaseg::World world(mambaseg::place_of_process(std::getenv), torch::kCPU, std::chrono::seconds(600));
  Json config = Json::parse(options.settings);
  config["name"] = options.network;
  const auto network = mambaseg::make_network(config);
  network->train();
  const Tensor patch = torch::rand(options.shape);

  mambaseg::GradientSums sums(*network, world);
  const auto step = [&](bool summed) {
    mambaseg::training_pass(*network, patch, options.precision, [&] {
      if (summed) sums.last_pass();
    });
    if (summed) sums.finish();
  };
  // All begin together, and the slowest rank says how long it took.
  const auto timed = [&](const std::function<void()>& work) {
    return mambaseg::best_of(options.runs, [&] {
      world.said("");
      const double mine = mambaseg::seconds(work);
      double slowest = 0;
      for (const std::string& each : world.said(std::to_string(mine)))
        slowest = std::max(slowest, std::stod(each));
      return slowest;
    });
  };
  step(true);
  const double alone = timed([&] { step(false); });
  const double sum = timed([&] { sums.finish(); });
  const double both = timed([&] { step(true); });

  int64_t values = 0;
  for (const Tensor& parameter : network->parameters())
    if (parameter.requires_grad()) values += parameter.numel();
  if (world.leads())
    std::printf("%s\n", Json{{"network", options.network},
                             {"shape", options.shape},
                             {"precision", options.precision},
                             {"ranks", world.size()},
                             {"threads", options.threads},
                             {"gradient_bytes", values * 4},
                             {"step_s", alone},
                             {"sum_s", sum},
                             {"step_with_sums_s", both}}
                            .dump()
                            .c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Times a training step and the sums of its gradients over ranks.");
  app.add_option("--network", options.network, "Name, as mambaseg networks lists it")->capture_default_str();
  app.add_option("--settings", options.settings, "Settings of the network as JSON, instead of the paper's");
  app.add_option("--shape", options.shape, "Of a rank's batch: items, channels, spatial sizes")
      ->delimiter(',');
  app.add_option("--precision", options.precision)->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--threads", options.threads, "Of each rank")->capture_default_str();
  app.add_option("--runs", options.runs, "Best of so many")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_ranks: %s\n", error.what());
    return 1;
  }
}
