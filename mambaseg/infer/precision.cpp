#include "mambaseg/infer/precision.h"

#include <chrono>
#include <cstdio>

#include "mambaseg/core/error.h"

namespace mambaseg {

Precision precision_named(const std::string& name) {
  if (name == "fp32") return Precision::fp32;
  if (name == "bf16") return Precision::bf16;
  if (name == "auto") return Precision::automatic;
  throw UsageError(concat("precision: expected fp32, bf16 or auto, got ", name));
}

PrecisionChoice choose_precision(const std::function<torch::Tensor(torch::ScalarType)>& classes,
                                 bool has_bf16_arithmetic, const std::string& target) {
  if (!has_bf16_arithmetic)
    return {Precision::fp32, concat("fp32: this machine has no bf16 arithmetic (", target, ")")};
  double spent_s[2] = {};
  const auto timed = [&](torch::ScalarType type, double& seconds) {
    classes(type);  // packs weights and takes memory, which later patches need not
    const auto start = std::chrono::steady_clock::now();
    const torch::Tensor result = classes(type);
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  };
  const torch::Tensor exact = timed(torch::kFloat32, spent_s[0]), fast = timed(torch::kBFloat16, spent_s[1]);
  const double same = exact.eq(fast).to(torch::kFloat64).mean().item<double>();
  char text[200];
  std::snprintf(text, sizeof text,
                "%.3f %% of the middle patch's voxels get the same class in bf16 as in fp32 (%g %% needed), "
                "%.2f s instead of %.2f s a patch, %s",
                100 * same, 100 * kBf16Agreement, spent_s[1], spent_s[0], target.c_str());
  const bool agrees = same >= kBf16Agreement;
  return {agrees ? Precision::bf16 : Precision::fp32, concat(agrees ? "bf16: " : "fp32: ", text)};
}

}  // namespace mambaseg
