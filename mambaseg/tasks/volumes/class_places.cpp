#include "mambaseg/tasks/volumes/class_places.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

namespace mambaseg {
namespace {

constexpr int64_t kBlock = 1 << 14;

}  // namespace

ClassPlaces::ClassPlaces(const torch::Tensor& classes_IJK) : classes_IJK_(classes_IJK) {
  const auto* classes = classes_IJK_.data_ptr<uint8_t>();
  const int64_t voxels = classes_IJK_.numel(), blocks = (voxels + kBlock - 1) / kBlock;
  for (int64_t block = 0; block < blocks; ++block) {
    std::array<int64_t, 256> counts{};
    const int64_t end = std::min((block + 1) * kBlock, voxels);
    for (int64_t v = block * kBlock; v < end;) {
      uint64_t eight = 1;
      if (v + 8 <= end) std::memcpy(&eight, classes + v, 8);
      if (eight == 0) {  // most of a volume is background
        v += 8;
      } else {
        ++counts[classes[v++]];
      }
    }
    for (size_t k = 1; k < counts.size(); ++k) {
      if (counts[k] == 0) continue;
      before_[k].resize(static_cast<size_t>(blocks) + 1);
      before_[k][static_cast<size_t>(block) + 1] = counts[k];
    }
  }
  for (auto& sums : before_) std::partial_sum(sums.begin(), sums.end(), sums.begin());
}

int64_t ClassPlaces::place(int64_t k, int64_t n) const {
  const std::vector<int64_t>& before = before_[static_cast<size_t>(k)];
  const auto block = std::upper_bound(before.begin(), before.end(), n) - before.begin() - 1;
  const auto* classes = classes_IJK_.data_ptr<uint8_t>();
  int64_t left = n - before[static_cast<size_t>(block)];
  int64_t v = block * kBlock;
  while (classes[v] != k || left-- > 0) ++v;
  return v;
}

}  // namespace mambaseg
