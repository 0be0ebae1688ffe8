#pragma once

#include <functional>

#include <torch/torch.h>

#include "mambaseg/ops/dense.h"

namespace mambaseg {

/// A tensor computed from a parameter, kept until the parameter changes.
class DerivedTensor {
 public:
  const torch::Tensor& of(const torch::Tensor& source, const std::function<torch::Tensor(torch::Tensor)>& make);

 private:
  void* data_ = nullptr;
  int64_t version_ = -1;
  torch::Tensor value_;
};

/// What a layer that grows the grid keeps between calls. Not for several threads at once.
struct GrowingWeights {
  struct Part {
    DerivedTensor weight, bias;
    PackedWeights packed;
  };
  std::vector<Part> parts;
};

/// Nearest neighbour on twice the grid, then a convolution of kernel 3, stride 1 and padding 1: x (B, in,
/// spatial...), weight (out, in, 3...) -> (B, out, 2 * spatial...). An output voxel sees only 2 different
/// voxels along each axis, so it is computed by kernels of edge 2 with summed weights, one for each parity of
/// the output position: 8 / 27 of the products in three axes, forward and backward.
torch::Tensor doubled_convolution(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias, GrowingWeights& kept);

/// Transposed convolution without padding whose kernel is its stride: weight (in, out, stride...). Each voxel
/// becomes a block of its own, so without gradient it is a linear layer and a reordering.
torch::Tensor block_convolution(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                                GrowingWeights& kept);

}  // namespace mambaseg
