#include "mambaseg/data/conform.h"

#include <algorithm>
#include <cmath>

namespace mambaseg {
namespace {

constexpr int64_t kEdge = 256;
constexpr std::array<Vector3, 3> kLia{{{-1, 0, 0}, {0, 0, 1}, {0, -1, 0}}};

}  // namespace

Geometry freesurfer_grid(const Geometry& input) {
  Vector3 middle{};
  for (int axis = 0; axis < 3; ++axis) middle[axis] = static_cast<double>(input.size[axis]) / 2;
  const Vector3 centre = input.voxel_to_ras_mm(middle);
  Geometry out;
  out.size = {kEdge, kEdge, kEdge};
  out.voxel_to_ras_mm.matrix = kLia;
  for (int row = 0; row < 3; ++row) {
    float offset = static_cast<float>(centre[row]);
    for (int column = 0; column < 3; ++column)
      offset -= static_cast<float>(kLia[row][column]) * static_cast<float>(kEdge / 2);
    out.voxel_to_ras_mm.offset[row] = offset;
  }
  return out;
}

bool is_conformed(const Geometry& grid) {
  constexpr double kTolerance = 1e-4;
  for (int row = 0; row < 3; ++row) {
    if (grid.size[row] != kEdge) return false;
    for (int column = 0; column < 3; ++column)
      if (!(std::abs(grid.voxel_to_ras_mm.matrix[row][column] - kLia[row][column]) <= kTolerance))
        return false;
  }
  return true;
}

Geometry nibabel_grid(const Geometry& input, const Index3& size, const Vector3& spacing_mm,
                      const std::string& orientation) {
  const Geometry turned = permuted(input, permutation_between(input.orientation(), orientation));
  const Vector3 old_spacing = turned.spacing_mm();
  Geometry out;
  out.size = size;
  Vector3 old_middle{}, new_middle{};
  for (int axis = 0; axis < 3; ++axis) {
    old_middle[axis] = static_cast<double>((turned.size[axis] - 1) / 2);
    new_middle[axis] = static_cast<double>((size[axis] - 1) / 2);
    for (int row = 0; row < 3; ++row)
      out.voxel_to_ras_mm.matrix[row][axis] =
          turned.voxel_to_ras_mm.matrix[row][axis] * spacing_mm[axis] / old_spacing[axis];
  }
  const Vector3 centre = turned.voxel_to_ras_mm(old_middle);
  out.voxel_to_ras_mm.offset = {0, 0, 0};
  const Vector3 moved = out.voxel_to_ras_mm(new_middle);
  for (int row = 0; row < 3; ++row) out.voxel_to_ras_mm.offset[row] = centre[row] - moved[row];
  return out;
}

Geometry millimetre_grid(const Geometry& input, const std::string& orientation) {
  const Geometry turned = permuted(input, permutation_between(input.orientation(), orientation));
  const Vector3 spacing = turned.spacing_mm();
  Index3 size{};
  for (int axis = 0; axis < 3; ++axis)
    size[axis] = std::max<int64_t>(1, std::llround(static_cast<double>(turned.size[axis]) * spacing[axis]));
  return nibabel_grid(input, size, {1, 1, 1}, orientation);
}

}  // namespace mambaseg
