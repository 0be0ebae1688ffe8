#pragma once

#include <torch/types.h>

#include "mambaseg/core/error.h"
#include "mambaseg/kernels/float16.h"

namespace mambaseg {

/// (K, X, Y, Z) with the classes of a voxel side by side; a copy unless they are.
inline torch::Tensor classes_innermost(const torch::Tensor& t_KXYZ) {
  if (t_KXYZ.size(0) == 1 || t_KXYZ.stride(0) == 1) return t_KXYZ;
  return t_KXYZ.permute({1, 2, 3, 0}).contiguous().permute({3, 0, 1, 2});
}

/// The same, and the voxels of a line along the last axis behind each other.
inline torch::Tensor in_lines(const torch::Tensor& t_KXYZ) {
  const torch::Tensor t = classes_innermost(t_KXYZ);
  if (t.size(3) == 1 || t.stride(3) == t.size(0)) return t;
  return t.permute({1, 2, 3, 0}).contiguous().permute({3, 0, 1, 2});
}

/// work(const T* first number) with T the type of votes: float or Float16.
template <class Work>
void with_votes(const torch::Tensor& votes, const Work& work) {
  require(votes.scalar_type() == torch::kFloat32 || votes.scalar_type() == torch::kFloat16,
          "votes: expected fp32 or fp16, got ", votes.scalar_type());
  if (votes.scalar_type() == torch::kFloat32)
    work(votes.data_ptr<float>());
  else
    work(static_cast<const Float16*>(votes.data_ptr()));
}

}  // namespace mambaseg
