// MedSegMamba at the paper's size on one 96^3 patch: seconds of a prediction, the largest memory of the
// process, and how far the 15 s and 3 GiB that it should need are. Random weights. Prints a table, or with
// --json an array of objects.

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstring>

#include "mambaseg/nets/medsegmamba.h"

namespace {

using mambaseg::Json;

constexpr double kTargetSeconds = 15, kTargetGib = 3;

double peak_gib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1 << 20);
}

Json line(const char* name, const char* unit, double ours, int threads, double target) {
  return {{"case", name},     {"unit", unit},         {"ours", ours},       {"reference", nullptr},
          {"ratio", nullptr}, {"max_error", nullptr}, {"threads", threads}, {"target", target}};
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  int threads = 2;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) json = true;
    if (std::strcmp(argv[i], "--threads") == 0 && i + 1 < argc) threads = std::atoi(argv[++i]);
  }
  torch::set_num_threads(threads);
  torch::manual_seed(1);
  const auto network = mambaseg::make_medsegmamba({});
  network->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor patch = torch::rand({1, 1, 96, 96, 96});
  double best_s = 1e30;
  for (int i = 0; i < 2; ++i) {
    const auto start = std::chrono::steady_clock::now();
    network->forward(patch);
    best_s =
        std::min(best_s, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const Json lines = {line("MedSegMamba 32 classes, one 96^3 patch", "s", best_s, threads, kTargetSeconds),
                      line("MedSegMamba 32 classes, largest memory", "GiB", peak_gib(), threads, kTargetGib)};
  if (json) {
    std::printf("%s\n", lines.dump(2).c_str());
    return 0;
  }
  for (const Json& entry : lines)
    std::printf("%-42s %8.2f %-4s (target %g, %d threads)\n", entry["case"].get<std::string>().c_str(),
                entry["ours"].get<double>(), entry["unit"].get<std::string>().c_str(),
                entry["target"].get<double>(), threads);
  return 0;
}
