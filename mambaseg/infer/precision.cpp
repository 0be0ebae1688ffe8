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

torch::ScalarType activation_type(Precision precision) {
  return precision == Precision::bf16 ? torch::kBFloat16 : torch::kFloat32;
}

PrecisionChoice choose_precision(Precision wish, const std::function<torch::Tensor(Precision)>& classes,
                                 bool with_bf16_arithmetic, const std::string& target) {
  if (wish == Precision::fp32) return {wish, {}};
  if (!with_bf16_arithmetic)
    return {Precision::fp32, concat("fp32: this machine has no bf16 arithmetic (", target, ")")};
  if (wish == Precision::bf16) return {wish, {}};
  const auto timed = [&](Precision precision, double& seconds) {
    classes(precision);  // packs weights and takes memory, which later inputs need not
    const auto start = std::chrono::steady_clock::now();
    const torch::Tensor result = classes(precision);
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  };
  double fp32_s = 0, bf16_s = 0;
  const torch::Tensor exact = timed(Precision::fp32, fp32_s), fast = timed(Precision::bf16, bf16_s);
  const double same = exact.eq(fast).to(torch::kFloat64).mean().item<double>();
  char text[200];
  std::snprintf(text, sizeof text,
                "in a trial %.3f %% of the voxels get the same class in bf16 as in fp32 (%g %% needed), "
                "%.2f s instead of %.2f s, %s",
                100 * same, 100 * kBf16Agreement, bf16_s, fp32_s, target.c_str());
  const bool agrees = same >= kBf16Agreement;
  return {agrees ? Precision::bf16 : Precision::fp32, concat(agrees ? "bf16: " : "fp32: ", text)};
}

}  // namespace mambaseg
