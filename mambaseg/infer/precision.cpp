#include "mambaseg/infer/precision.h"

#include <array>
#include <chrono>
#include <cstdio>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/autocast.h"

namespace mambaseg {
namespace {

constexpr std::array<const char*, 5> kNames{"fp32", "tf32", "bf16", "fp16", "auto"};  // as the enumeration

const char* name_of(Precision precision) { return kNames[static_cast<size_t>(precision)]; }

/// What precision_on makes of a wish.
Precision computed(Precision wish, const Arithmetic& arithmetic) {
  const std::string name = precision_on(arithmetic, name_of(wish));
  size_t i = 0;
  while (name != kNames[i]) ++i;
  return static_cast<Precision>(i);
}

}  // namespace

Precision precision_named(const std::string& name, const Arithmetic& arithmetic) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name != kNames[i]) continue;
    precision_on(arithmetic, name);
    return static_cast<Precision>(i);
  }
  throw UsageError(concat("precision: expected fp32, tf32, bf16, fp16 or auto, got ", name));
}

torch::Tensor scores_in(Precision precision, Network& network, const torch::Tensor& x) {
  const AllowTf32 tf32(precision == Precision::tf32);
  const Autocast fp16(precision == Precision::fp16 ? "fp16" : "fp32", x.device());
  const torch::Tensor given = precision == Precision::bf16 ? x.to(torch::kBFloat16) : x;
  return network.forward(given).front().to(torch::kFloat32);
}

PrecisionChoice choose_precision(Precision wish, const std::function<torch::Tensor(Precision)>& classes,
                                 const Arithmetic& arithmetic) {
  const Precision possible = computed(wish, arithmetic);
  if (possible == wish) return {wish, {}};
  if (possible == Precision::fp32)
    return {possible, concat("fp32: this machine has no bf16 arithmetic (", arithmetic.device, ")")};
  const auto timed = [&](Precision precision, double& seconds) {
    classes(precision);  // packs weights and takes memory, which later inputs need not
    const auto start = std::chrono::steady_clock::now();
    const torch::Tensor result = classes(precision);
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  };
  double exact_s = 0, fast_s = 0;
  const torch::Tensor exact = timed(Precision::fp32, exact_s), fast = timed(possible, fast_s);
  const double same = exact.eq(fast).to(torch::kFloat64).mean().item<double>();
  char text[200];
  std::snprintf(text, sizeof text,
                "in a trial %.3f %% of the voxels get the same class in %s as in fp32 (%g %% needed), "
                "%.2f s instead of %.2f s, %s",
                100 * same, name_of(possible), 100 * kHalfAgreement, fast_s, exact_s,
                arithmetic.device.c_str());
  const Precision chosen = same >= kHalfAgreement ? possible : Precision::fp32;
  return {chosen, concat(name_of(chosen), ": ", text)};
}

}  // namespace mambaseg
