#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "mambaseg/data/resize.h"

namespace mambaseg {
namespace {

/// The largest label whose share of a voxel is at least a half, or 0.
template <class T>
class HalfVote {
 public:
  void add(T label, double weight) {
    const auto known =
        std::find_if(seen_.begin(), seen_.end(), [&](const auto& entry) { return entry.first == label; });
    if (known == seen_.end())
      seen_.emplace_back(label, weight);
    else
      known->second += weight;
  }
  T take_winner() {
    std::optional<T> largest;
    for (const auto& [label, weight] : seen_)
      if (weight >= 0.5) largest = largest ? std::max(*largest, label) : label;
    seen_.clear();
    return largest.value_or(0);
  }

 private:
  std::vector<std::pair<T, double>> seen_;
};

/// New voxels of each row whose low neighbours are old voxel 0, 1, ...: where they begin, and behind the
/// last.
std::vector<int64_t> begins_of(const AxisTaps& taps, int64_t from, int64_t to) {
  std::vector<int64_t> out(1, 0);
  for (int64_t i = 0; i < from; ++i) {
    int64_t next = out.back();
    while (next < to && taps[next].front().index == i) ++next;
    out.push_back(next);
  }
  return out;
}

/// Row after row of the new labels. One for each thread.
template <class T>
class LabelRows {
 public:
  LabelRows(const Volume<T>& labels, const std::array<AxisTaps, 3>& taps, const std::vector<int64_t>& begins)
      : labels_(labels), taps_(taps), begins_(begins.data()), alike_(begins.size() - 1) {}

  void fill(int64_t j, int64_t k, T* out) {
    const auto n = static_cast<int64_t>(alike_.size());
    const T* const here = compare_rows(j, k);
    for (int64_t i = 0; i < n;) {
      const void* const other = std::memchr(&alike_[static_cast<size_t>(i)], 0, static_cast<size_t>(n - i));
      const int64_t end = other ? static_cast<const uint8_t*>(other) - alike_.data() : n;
      std::fill(out + begins_[i], out + begins_[end], here[i]);  // inside of a structure, as most voxels are
      if (end == n) return;
      for (int64_t voxel = begins_[end]; voxel < begins_[end + 1]; ++voxel) out[voxel] = vote(voxel, j, k);
      i = end + 1;
    }
  }

 private:
  /// Notes which old voxels are like their next ones and like those in the other rows around the new row.
  const T* compare_rows(int64_t j, int64_t k) {
    const auto row = [&](const Tap& y, const Tap& z) { return &labels_.at(0, y.index, z.index); };
    const auto y = taps_[1][j], z = taps_[2][k];
    const T *here = row(y.front(), z.front()), *right = row(y.back(), z.front());
    const T *above = row(y.front(), z.back()), *across = row(y.back(), z.back());
    const auto agree = [&](int64_t i) {
      return (here[i] == right[i]) & (here[i] == above[i]) & (here[i] == across[i]);
    };
    uint8_t* const alike = alike_.data();
    const auto last = static_cast<int64_t>(alike_.size()) - 1;
#pragma omp simd
    for (int64_t i = 0; i < last; ++i) alike[i] = agree(i) & agree(i + 1) & (here[i] == here[i + 1]);
    alike[last] = agree(last);
    return here;
  }

  T vote(int64_t i, int64_t j, int64_t k) {
    for (const Tap& z : taps_[2][k])
      for (const Tap& y : taps_[1][j])
        for (const Tap& x : taps_[0][i])
          vote_.add(labels_.at(x.index, y.index, z.index), x.weight * y.weight * z.weight);
    return vote_.take_winner();
  }

  const Volume<T>& labels_;
  const std::array<AxisTaps, 3>& taps_;
  const int64_t* const begins_;
  std::vector<uint8_t> alike_;
  HalfVote<T> vote_;
};

}  // namespace

template <class T>
Volume<T> resized_labels(const Volume<T>& labels, const Index3& size, std::optional<int> separate) {
  const Index3& from = labels.geometry.size;
  if (from == size) return labels;
  std::array<AxisTaps, 3> taps;
  for (int axis = 0; axis < 3; ++axis)
    taps[static_cast<size_t>(axis)] = axis_taps(from[axis], size[axis], axis == separate ? 0 : 1);
  const std::vector<int64_t> begins = begins_of(taps[0], from[0], size[0]);
  Volume<T> out(resized_grid(labels.geometry, size));
  at::parallel_for(0, size[2], 1, [&](int64_t begin, int64_t end) {
    LabelRows<T> rows(labels, taps, begins);
    for (int64_t k = begin; k < end; ++k)
      for (int64_t j = 0; j < size[1]; ++j) rows.fill(j, k, &out.at(0, j, k));
  });
  return out;
}

template Volume<uint8_t> resized_labels(const Volume<uint8_t>&, const Index3&, std::optional<int>);
template Volume<int32_t> resized_labels(const Volume<int32_t>&, const Index3&, std::optional<int>);

}  // namespace mambaseg
