#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace mambaseg {

using Index3 = std::array<int64_t, 3>;
using Vector3 = std::array<double, 3>;

/// An affine map of 3-space, y = matrix * x + offset.
struct Affine {
  std::array<Vector3, 3> matrix{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};  ///< rows
  Vector3 offset{0, 0, 0};

  Vector3 operator()(const Vector3& x) const;
  /// Throws Error when the matrix is singular.
  Affine inverse() const;
  double determinant() const;

  bool operator==(const Affine&) const = default;
};

/// first(second(x))
Affine compose(const Affine& first, const Affine& second);

/// Where a voxel grid lies in the patient: `size` voxels along the array axes i, j, k (i is fastest in
/// memory) and the map from voxel index (voxel centres at whole numbers) to mm in the scanner frame, x to the
/// Right, y Anterior, z Superior (the NIfTI and nibabel convention, "RAS+").
struct Geometry {
  Index3 size{0, 0, 0};
  Affine voxel_to_ras_mm;

  int64_t voxel_count() const { return size[0] * size[1] * size[2]; }
  /// Lengths of the columns of the matrix, mm.
  Vector3 spacing_mm() const;
  double voxel_volume_mm3() const;
  /// For each array axis the anatomical direction in which the index grows, for example "LIA" or "RAS".
  /// Decided as nibabel's io_orientation does, so oblique axes get the closest free direction.
  std::string orientation() const;

  bool operator==(const Geometry&) const = default;
};

/// True when sizes agree and no corner of the grid lies further apart than `tolerance_mm`.
bool same_grid(const Geometry& a, const Geometry& b, double tolerance_mm = 1e-3);

/// "160x192x224 voxels of 1 x 1 x 1 mm, LIA", for messages.
std::string describe(const Geometry& geometry);

/// How array axes are renamed and flipped: output axis a is input axis `axis[a]`, walked backwards when
/// `flip[a]`.
struct AxisPermutation {
  std::array<int, 3> axis{0, 1, 2};
  std::array<bool, 3> flip{false, false, false};
};

/// The permutation that brings a grid of orientation `from` (for example "RAS") to orientation `to` ("LIA").
/// Throws Error on words that are not orientations.
AxisPermutation permutation_between(const std::string& from, const std::string& to);

/// The geometry of the permuted grid: the same voxels at the same places under new indices.
Geometry permuted(const Geometry& geometry, const AxisPermutation& permutation);

}  // namespace mambaseg
