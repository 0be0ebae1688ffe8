#include "mambaseg/io/summary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "mambaseg/io/formats.h"

namespace mambaseg {
namespace {

constexpr size_t kMostLabels = 300;

template <class T>
void add_numbers(const std::vector<T>& values, ImageSummary& out) {
  double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0;
  for (const T v : values) {
    const auto value = static_cast<double>(v);
    if (!std::isfinite(value)) {
      ++out.not_finite;
      continue;
    }
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
  }
  const auto finite = static_cast<int64_t>(values.size()) - out.not_finite;
  if (finite == 0) return;
  out.minimum = low;
  out.maximum = high;
  out.mean = sum / static_cast<double>(finite);
}

/// Counts equal values; gives up on a value that is not whole and on too many different ones.
template <class T>
std::vector<LabelCount> count_labels(const std::vector<T>& values, double voxel_mm3) {
  std::unordered_map<T, int64_t> counts;
  for (size_t i = 0; i < values.size();) {
    size_t end = i + 1;  // neighbours are mostly equal
    while (end < values.size() && values[end] == values[i]) ++end;
    const auto value = static_cast<double>(values[i]);
    if (!(std::abs(value) < 9e15) || value != std::floor(value)) return {};
    counts[values[i]] += static_cast<int64_t>(end - i);
    if (counts.size() > kMostLabels) return {};
    i = end;
  }
  std::vector<LabelCount> labels;
  for (const auto& [value, voxels] : counts)
    labels.push_back({static_cast<int64_t>(value), voxels, static_cast<double>(voxels) * voxel_mm3});
  std::sort(labels.begin(), labels.end(),
            [](const LabelCount& a, const LabelCount& b) { return a.value < b.value; });
  return labels;
}

}  // namespace

ImageSummary summarise_image(const std::string& path, const Warn& warn) {
  static constexpr std::array<const char*, 10> kTypeNames{"uint8", "int8",   "uint16", "int16", "uint32",
                                                          "int32", "uint64", "int64",  "float", "double"};
  const Image image = read_image(path, warn);
  ImageSummary out;
  out.format = format_to_read(path).name;
  out.number_type = kTypeNames[image.voxels.index()];
  out.geometry = image.geometry;
  std::visit(
      [&out](const auto& values) {
        add_numbers(values, out);
        out.labels = count_labels(values, out.geometry.voxel_volume_mm3());
      },
      image.voxels);
  return out;
}

}  // namespace mambaseg
