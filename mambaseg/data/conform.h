#pragma once

#include "mambaseg/core/volume.h"

namespace mambaseg {

/// FastSurfer's (and FreeSurfer's mri_convert --conform) grid for an image: 256^3 voxels of 1 mm, LIA, voxel
/// 128 at the position of the image's voxel coordinates size / 2 (kept in single precision, as an MGH header
/// keeps it).
Geometry freesurfer_grid(const Geometry& input);

/// True when the grid is 256^3 of 1 mm with exactly the axes L, I, A: every spacing and every direction is
/// compared (the official code asked whether any one matched).
bool is_conformed(const Geometry& grid);

/// nibabel.processing.conform's grid: axes turned to `orientation`, spacing as given, rotation kept, middle
/// voxels
/// ((size - 1) / 2, rounded down) at the same place.
Geometry nibabel_grid(const Geometry& input, const Index3& size, const Vector3& spacing_mm,
                      const std::string& orientation);

/// nibabel_grid of 1 mm voxels, as large as the image in every direction.
Geometry millimetre_grid(const Geometry& input, const std::string& orientation);

}  // namespace mambaseg
