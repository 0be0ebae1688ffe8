#pragma once

#include <optional>
#include <vector>

#include <torch/types.h>

#include "mambaseg/core/volume.h"

namespace mambaseg {

/// Voxels start..start+size-1 along each array axis. May reach beyond the grid: what lies outside counts as
/// zero.
struct Box {
  Index3 start{0, 0, 0};
  Index3 size{0, 0, 0};

  int64_t end(int axis) const { return start[axis] + size[axis]; }
  bool operator==(const Box&) const = default;
};

/// The whole grid.
Box whole_box(const Index3& size);

/// From the first to the last non-zero voxel on each axis; empty slices between them stay, so that positions
/// are kept. Nothing when all voxels are zero.
std::optional<Box> nonzero_box(const Volume<float>& image);

std::optional<Box> nonzero_box(const Volume<uint8_t>& mask);

/// The smallest box around both.
Box joined(const Box& a, const Box& b);

/// The box of all voxels whose label is listed, or nothing.
std::optional<Box> label_box(const Volume<int32_t>& labels, const std::vector<int64_t>& wanted);

/// Widens `box` so that patches at every multiple of `step` cover it exactly: at least the patch, then up to
/// the next patch + n * step, half of it (rounded down) before. A box that fits already stays as it is.
Box widened_for_patches(const Box& box, const Index3& patch, int64_t step);

/// The patch-sized box centred on `box` as the hippocampal stage does ((patch - size) / 2, rounded down,
/// before), moved inwards where it would leave a grid of `grid` voxels. An axis longer than the patch is
/// widened to a whole number of steps; an axis of the grid shorter than the patch is centred and padded.
Box region_box(const Box& box, const Index3& patch, int64_t step, const Index3& grid);

/// Multiples of `step` at which a patch fits into `size` voxels; none when the patch is larger.
std::vector<int64_t> patch_positions(int64_t size, int64_t patch, int64_t step);

/// Starts of patches spread evenly over `size` voxels, first at 0, last at size - patch, no further apart
/// than `fraction` of the patch, rounded half to even (nnU-Net's sliding window). Throws Error when the patch
/// is larger than `size` or the fraction is not in (0, 1].
std::vector<int64_t> spread_positions(int64_t size, int64_t patch, double fraction);

/// Starts of all patches inside `size`: last axis outermost, first axis fastest, the order of the official
/// code.
std::vector<Index3> patch_starts(const Index3& size, const Index3& patch, int64_t step);

/// Every combination of starts along the axes, in the same order.
std::vector<Index3> starts_of(const std::array<std::vector<int64_t>, 3>& along);

/// The part of a tensor (..., i, j, k) inside `box`, zeros outside the tensor. A copy.
torch::Tensor cut_box(const torch::Tensor& values, const Box& box);

/// Writes `part`, which lies at `box`, into `whole` (i, j, k); what lies outside `whole` is dropped.
void paste_box(torch::Tensor whole, const torch::Tensor& part, const Box& box);

}  // namespace mambaseg
