// Runs our networks, operators and pipeline on files of inputs, weights and expected results of the official
// implementations.

#include <torch/cuda.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "hwy/targets.h"
#include "mambaseg/core/error.h"
#include "mambaseg/kernels/target.h"
#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/device.h"
#include "tests/golden_check/golden_case.h"
#include "tests/golden_check/network_cases.h"

namespace mambaseg {
namespace {

/// Files whose name begins with one of the prefixes; without prefixes all.
std::vector<std::string> golden_files(const std::string& folder, const std::vector<std::string>& prefixes) {
  const auto wanted = [&](const std::string& name) {
    return prefixes.empty() || std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& prefix) {
             return name.rfind(prefix, 0) == 0;
           });
  };
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::filesystem::path& path = entry.path();
    if (path.extension() == ".safetensors" && wanted(path.filename().string()))
      paths.push_back(path.string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

const GoldenCheck* find_check(const std::string& official_class) {
  const std::span<const GoldenCheck> lists[] = {
      scan_checks(),     walk_checks(), nnunet_loss_checks(), nnunet_pipeline_checks(), metric_checks(),
      pipeline_checks(), stat_checks(), zoom_checks(),        plane_checks(),           weak_mamba_checks()};
  for (const auto& list : lists)
    for (const GoldenCheck& check : list)
      if (official_class == check.official_class) return &check;
  return nullptr;
}

constexpr int kSkipped = 77;  // as ctest's SKIP_RETURN_CODE has it

/// Leaves the kernels no other SIMD target than the one of that name; false when this processor lacks it. To
/// be called before any kernel runs.
bool use_only_target(const std::string& name) {
  for (int64_t rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
    const int64_t bit = rest & -rest;
    if (name != hwy::TargetName(bit)) continue;
    hwy::SetSupportedTargetsForTest(bit);
    return name == best_target().name;
  }
  return false;
}

struct GoldenCounts {
  int passed = 0, failed = 0, skipped = 0;
};

/// Prints the line of one file and counts it. On a GPU what computes on the CPU alone is skipped.
void run_file(const std::string& path, torch::Device device, bool fp64, GoldenCounts& counts) {
  std::string name = std::filesystem::path(path).stem().string();
  const char* verdict = "FAIL";
  GoldenResult result;
  try {
    GoldenCase golden = read_golden(path);
    golden.device = device;
    golden.fp64 = fp64;
    if (const auto counterpart = check_counterpart(golden)) {
      result = *counterpart;
    } else if (const GoldenCheck* check = find_check(golden.official_class)) {
      if (device.is_cuda() && !check->on_device) {
        ++counts.skipped;
        return;
      }
      result = check->run(golden);
    } else {
      result.remark = golden.repository + " " + golden.official_class;
      verdict = "UNKNOWN";
    }
    if (result.passed) verdict = "PASS";
  } catch (const std::exception& error) {
    result.passed = false;
    result.remark = error.what();
    result.remark = result.remark.substr(0, result.remark.find('\n'));
  }
  std::printf("%s %s %.3g %s\n", verdict, name.c_str(), result.error, result.remark.c_str());
  std::fflush(stdout);
  ++(result.passed ? counts.passed : counts.failed);
}

}  // namespace
}  // namespace mambaseg

int main(int argc, char** argv) {
  CLI::App app{"Compares with results of the official implementations"};
  std::string folder, target, device_name = "cpu";
  std::vector<std::string> prefixes;
  app.add_option("folder", folder, "Folder of golden .safetensors files")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--filter", prefixes, "Only files whose name begins like one of these");
  app.add_option("--target", target, "SIMD target of the kernels: AVX3_DL, AVX3, AVX2, SSE4, NEON, ...");
  app.add_option("--device", device_name, "cpu, cuda or cuda:1: where networks, blocks and the scan compute");
  bool fp64 = false;
  app.add_flag("--fp64", fp64, "Networks and blocks compute in fp64: what passes only so is off by rounding");
  CLI11_PARSE(app, argc, argv);
  if (!target.empty() && !mambaseg::use_only_target(target)) {
    std::printf("skipped: this processor or build has no target %s\n", target.c_str());
    return mambaseg::kSkipped;
  }
  torch::Device device = torch::kCPU;
  try {
    device = mambaseg::device_named(device_name, static_cast<int64_t>(torch::cuda::device_count()));
  } catch (const mambaseg::UsageError& error) {
    std::fprintf(stderr, "golden_check: %s\n", error.what());
    return 2;
  }
  mambaseg::allow_tf32(false);
  mambaseg::GoldenCounts counts;
  for (const std::string& path : mambaseg::golden_files(folder, prefixes))
    mambaseg::run_file(path, device, fp64, counts);
  std::printf("%d passed, %d failed", counts.passed, counts.failed);
  if (counts.skipped > 0) std::printf(", %d of the CPU alone skipped", counts.skipped);
  std::printf("\n");
  return counts.passed > 0 && counts.failed == 0 ? 0 : 1;
}
