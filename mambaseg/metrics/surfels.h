#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "mambaseg/core/volume.h"
#include "mambaseg/metrics/distance_transform.h"

namespace mambaseg {

/// Surface elements of one label: where the marching cubes between voxel centres meet the border of the mask,
/// and how much surface (mm^2; mm of contour for an image of one slice) lies in each cube. The cube (i, j, k)
/// has the voxel (i, j, k) as its upper corner, so its middle is half a voxel before; what lies outside the
/// image is background.
struct Surfels {
  std::vector<GridPoint> cubes;  ///< in memory order
  std::vector<double> areas;
};

/// The area for each of the 256 ways in which the corners of a cube of `spacing_mm` can be inside; bit di + 2
/// dj + 4 dk of the code is the corner (di, dj, dk). Axes that are not `used` have one voxel: the table is
/// then that of marching squares (lengths), or of end points (1 each).
std::array<double, 256> surfel_areas(const Vector3& spacing_mm, const std::array<bool, 3>& used);

/// The surfels of each label with cubes in planes k_begin <= k < k_end; planes run from 0 to size[2] (one
/// more than the image has) unless size[2] is 1, when there is only plane 0. Element s of the answer belongs
/// to labels[s]. Source: Nikolov et al. (2021), "Clinically applicable segmentation of head and neck anatomy
/// for radiotherapy"; Lorensen and Cline (1987), "Marching cubes".
std::vector<Surfels> find_surfels(const Volume<int32_t>& image, std::span<const int32_t> labels,
                                  int64_t k_begin, int64_t k_end);

}  // namespace mambaseg
