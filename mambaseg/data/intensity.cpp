#include "mambaseg/data/intensity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <type_traits>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr double kLeastRange = 1e-8;  // deviations and ranges below count as this, as in nnU-Net

/// The sum of value(0) ... value(count - 1), in partial sums that do not wait for each other.
template <class Value>
double sum_of(size_t count, const Value& value) {
  constexpr size_t kSums = 16;
  std::array<double, kSums> sums{};
  const size_t whole = count / kSums * kSums;
  for (size_t v = 0; v < whole; v += kSums)
#pragma omp simd
    for (size_t s = 0; s < kSums; ++s) sums[s] += value(v + s);
  for (size_t v = whole; v < count; ++v) sums[v - whole] += value(v);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

/// Of the voxels for which inside(index) holds, over the population.
struct Moments {
  int64_t count = 0;
  double mean = 0, deviation = 0;
};

template <class Inside>
Moments moments_of(const std::vector<float>& values, const Inside& inside) {
  const float* const all = values.data();
  Moments out;
  int64_t inside_count = 0;
#pragma omp simd reduction(+ : inside_count)
  for (size_t v = 0; v < values.size(); ++v) inside_count += inside(v);
  out.count = inside_count;
  const auto count = static_cast<double>(out.count);
  out.mean = sum_of(values.size(), [&](size_t v) { return inside(v) ? all[v] : 0.0F; }) / count;
  const double mean = out.mean;
  const double squares = sum_of(values.size(), [&](size_t v) {
    const double off = all[v] - mean, square = off * off;
    return inside(v) ? square : 0.0;
  });
  out.deviation = std::sqrt(squares / count);
  return out;
}

template <class Inside>
void standardise(std::vector<float>& values, double mean, double deviation, const Inside& inside) {
  float* const all = values.data();
#pragma omp simd
  for (size_t v = 0; v < values.size(); ++v) {
    const auto standard = static_cast<float>((all[v] - mean) / deviation);
    all[v] = inside(v) ? standard : all[v];
  }
}

}  // namespace

template <class T>
IntensityRange robust_range(const std::vector<T>& values) {
  constexpr int kBins = 1000;
  constexpr double kUpperFraction = 1 - 0.999;
  require(!values.empty(), "intensity: the image has no voxels");
  // numpy works on float32 data in float32, also for the bin edges; the published range depends on it.
  using Edge = std::conditional_t<std::is_same_v<T, float>, float, double>;
  const auto [smallest, largest] = std::minmax_element(values.begin(), values.end());
  const Edge low = static_cast<Edge>(*smallest);
  const Edge high = static_cast<Edge>(*largest);
  require(high > low, "intensity: every voxel has the value ", +low, "; expected an image");
  const Edge bin = (high - low) / Edge(kBins);
  std::array<Edge, kBins + 1> edges{};
  for (int i = 0; i <= kBins; ++i) edges[i] = static_cast<Edge>(double(i) * double(bin) + double(low));
  edges[kBins] = high;
  std::array<int64_t, kBins> counts{};
  int64_t nonzero = 0;
  for (const T raw : values) {
    const Edge value = static_cast<Edge>(raw);
    int at = std::clamp(
        static_cast<int>((double(value) - double(low)) / (double(high) - double(low)) * kBins), 0, kBins - 1);
    if (value < edges[at]) --at;
    if (at + 1 < kBins && value >= edges[at + 1]) ++at;
    ++counts[at];
    nonzero += std::abs(static_cast<double>(value)) >= 1e-15;
  }
  const int64_t wanted = static_cast<int64_t>(values.size()) -
                         static_cast<int64_t>(kUpperFraction * static_cast<double>(nonzero));
  int index = 0;
  for (int64_t below = 0; index < kBins && below < wanted; ++index) below += counts[index];
  const Edge upper = static_cast<Edge>(std::max(index - 2, 1)) * bin + low;
  return {static_cast<double>(low), 255.0 / (static_cast<double>(upper) - static_cast<double>(low))};
}

template IntensityRange robust_range(const std::vector<uint8_t>&);
template IntensityRange robust_range(const std::vector<int8_t>&);
template IntensityRange robust_range(const std::vector<uint16_t>&);
template IntensityRange robust_range(const std::vector<int16_t>&);
template IntensityRange robust_range(const std::vector<uint32_t>&);
template IntensityRange robust_range(const std::vector<int32_t>&);
template IntensityRange robust_range(const std::vector<uint64_t>&);
template IntensityRange robust_range(const std::vector<int64_t>&);
template IntensityRange robust_range(const std::vector<float>&);
template IntensityRange robust_range(const std::vector<double>&);

double rescaled(double value, const IntensityRange& range) {
  return std::clamp(range.scale * (value - range.low), 0.0, 255.0);
}

uint8_t rescaled_to_byte(double value, const IntensityRange& range) {
  return static_cast<uint8_t>(std::nearbyint(rescaled(value, range)));
}

void z_score(std::vector<float>& values, const std::vector<uint8_t>& mask) {
  if (mask.empty()) {
    const Moments all = moments_of(values, [](size_t) { return true; });
    require(all.count > 0, "intensity: no voxel is left to normalise");
    return standardise(values, all.mean, std::max(all.deviation, kLeastRange), [](size_t) { return true; });
  }
  const auto inside = [&](size_t v) { return mask[v] != 0; };
  const Moments some = moments_of(values, inside);
  require(some.count > 0, "intensity: no voxel is left to normalise");
  standardise(values, some.mean, std::max(some.deviation, kLeastRange), inside);
}

void normalise_ct(std::vector<float>& values, const CtIntensities& ct) {
  for (float& v : values)
    v = static_cast<float>((std::clamp<double>(v, ct.low, ct.high) - ct.mean) /
                           std::max(ct.deviation, kLeastRange));
}

void rescale_to_unit(std::vector<float>& values) {
  require(!values.empty(), "intensity: the image has no voxels");
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double base = *low, range = std::max(double(*high) - base, kLeastRange);
  for (float& v : values) v = static_cast<float>((v - base) / range);
}

void bytes_to_unit(std::vector<float>& values) {
  for (float& v : values) v = static_cast<float>(static_cast<double>(v) / 255);
}

void z_score_nonzero(std::vector<float>& values) {
  const float* const all = values.data();
  const auto nonzero = [all](size_t v) { return all[v] != 0; };
  const Moments some = moments_of(values, nonzero);
  require(some.count > 0, "intensity: the image has no non-zero voxel");
  require(some.deviation > 0, "intensity: every non-zero voxel has the value ", some.mean,
          "; expected an image");
  standardise(values, some.mean, some.deviation, nonzero);
}

}  // namespace mambaseg
