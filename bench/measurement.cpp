#include "bench/measurement.h"

#include <torch/cuda.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "mambaseg/ops/autocast.h"

namespace mambaseg {

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double seconds(torch::Device device, const std::function<void()>& work) {
  const auto wait = [&] {
    if (device.is_cuda()) torch::cuda::synchronize();
  };
  wait();
  return seconds([&] {
    work();
    wait();
  });
}

torch::Device device_named(const std::string& name) {
  if (name != "cuda") return torch::kCPU;
  if (!torch::cuda::is_available()) {
    std::fprintf(stderr, "--device cuda: no GPU, or a LibTorch without CUDA\n");
    std::exit(2);
  }
  allow_tf32(false);
  return torch::kCUDA;
}

double best_of(int runs, const std::function<double()>& once) {
  double best = once();
  for (int i = 1; i < runs; ++i) best = std::min(best, once());
  return best;
}

MeasurementOptions read_options(int argc, char** argv, const char* description,
                                const std::function<void(CLI::App&)>& add) {
  MeasurementOptions options;
  CLI::App app{description};
  app.add_flag("--json", options.json, "Print a JSON array");
  app.add_option("--filter", options.filter, "Only cases whose name contains this");
  app.add_option("--threads", options.threads, "Numbers of threads to measure with")
      ->check(CLI::PositiveNumber);
  add(app);
  std::string device = "cpu";
  app.add_option("--device", device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  options.device = device_named(device);
  if (options.device.is_cuda()) options.threads = {1};
  return options;
}

void MeasurementTable::add(const Measurement& m, double error_bound) {
  measurements_.push_back(m);
  if (!json_) {
    std::printf("%-58s %d thread(s) %8.3f %s, ", m.name.c_str(), m.threads, m.ours, m.unit.c_str());
    if (m.reference != 0) std::printf("reference %7.3f, ratio %6.1f, ", m.reference, m.ours / m.reference);
    std::printf("error %.1e, %s\n", m.max_error, m.target.c_str());
    std::fflush(stdout);
  }
  if (m.max_error < error_bound) return;
  correct_ = false;
  std::fprintf(stderr, "%s: error %.1e, expected below %.1e\n", m.name.c_str(), m.max_error, error_bound);
}

int MeasurementTable::finish() const {
  if (json_) {
    nlohmann::json rows = nlohmann::json::array();
    for (const Measurement& m : measurements_) {
      const bool alone = m.reference == 0;
      rows.push_back({{"case", m.name},
                      {"unit", m.unit},
                      {"ours", m.ours},
                      {"reference", alone ? nlohmann::json() : nlohmann::json(m.reference)},
                      {"ratio", alone ? nlohmann::json() : nlohmann::json(m.ours / m.reference)},
                      {"max_error", m.max_error},
                      {"threads", m.threads},
                      {"target", m.target}});
    }
    std::printf("%s\n", rows.dump(1).c_str());
  }
  return correct_ ? 0 : 1;
}

}  // namespace mambaseg
