#include "mambaseg/data/intensity.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr double kLeastRange = 1e-8;  // deviations and ranges below count as this, as in nnU-Net

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
  const auto inside = [&](size_t v) { return mask.empty() || mask[v] != 0; };
  double sum = 0;
  int64_t count = 0;
  for (size_t v = 0; v < values.size(); ++v)
    if (inside(v)) sum += values[v], ++count;
  require(count > 0, "intensity: no voxel is left to normalise");
  const double mean = sum / static_cast<double>(count);
  double squares = 0;
  for (size_t v = 0; v < values.size(); ++v)
    if (inside(v)) squares += (values[v] - mean) * (values[v] - mean);
  const double deviation = std::max(std::sqrt(squares / static_cast<double>(count)), kLeastRange);
  for (size_t v = 0; v < values.size(); ++v)
    if (inside(v)) values[v] = static_cast<float>((values[v] - mean) / deviation);
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
  double sum = 0;
  int64_t count = 0;
  for (const float v : values)
    if (v != 0) sum += v, ++count;
  require(count > 0, "intensity: the image has no non-zero voxel");
  const double mean = sum / static_cast<double>(count);
  double squares = 0;
  for (const float v : values)
    if (v != 0) squares += (v - mean) * (v - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(count));
  require(deviation > 0, "intensity: every non-zero voxel has the value ", mean, "; expected an image");
  for (float& v : values)
    if (v != 0) v = static_cast<float>((v - mean) / deviation);
}

}  // namespace mambaseg
