#pragma once

#include <torch/types.h>

#include "mambaseg/core/volume.h"
#include "mambaseg/data/crop.h"

namespace mambaseg {

/// The tensor (i, j, k) of a volume, k fastest in memory: array order of nibabel, in which the
/// FreeSurfer-family networks were trained. A copy. The only place, with its inverse, where memory order
/// changes.
torch::Tensor tensor_from_volume(const Volume<float>& volume);
torch::Tensor tensor_from_volume(const Volume<int32_t>& volume);  ///< int64

/// The part of slice `j` of a box (second axis) that lies in the volume, as rows of k: voxel (i, j, k) of the
/// box goes to out[i * row + k]. Nothing else is touched. T: uint8_t, float.
template <class T>
void copy_slice(const Volume<T>& volume, const Box& box, int64_t j, T* out, int64_t row);

/// The inverses; sizes must be those of `geometry` (Error otherwise). `values_ijk` may have any whole-number
/// type, and any floating type in volume_from_tensor.
Volume<int32_t> labels_from_tensor(const torch::Tensor& values_ijk, const Geometry& geometry);
Volume<float> volume_from_tensor(const torch::Tensor& values_ijk, const Geometry& geometry);

}  // namespace mambaseg
