#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <torch/types.h>

namespace mambaseg {

/// Where the voxels of each class lie, in raster order. Numbers for each block of voxels are kept in place of
/// the places themselves, which would be many times the size of the labels.
class ClassPlaces {
 public:
  /// classes_IJK: uint8, contiguous; background (0) is left out.
  explicit ClassPlaces(const torch::Tensor& classes_IJK);

  /// Voxels of class k.
  int64_t count(int64_t k) const {
    const auto& before = before_[static_cast<size_t>(k)];
    return before.empty() ? 0 : before.back();
  }
  /// Index of the n-th voxel of class k.
  int64_t place(int64_t k, int64_t n) const;

 private:
  torch::Tensor classes_IJK_;
  std::array<std::vector<int64_t>, 256> before_;  ///< voxels of a class before each block, and in all
};

}  // namespace mambaseg
