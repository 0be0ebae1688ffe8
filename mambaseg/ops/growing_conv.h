#pragma once

#include <functional>

#include <torch/types.h>

#include "mambaseg/ops/dense.h"

namespace mambaseg {

/// Weights computed from the parameters of a layer, kept with their packing until the parameters change.
class DerivedWeights {
 public:
  using Make = std::function<torch::Tensor(torch::Tensor)>;
  /// `bias` may be undefined; without `of_bias` it is taken as it is.
  DenseWeights of(const torch::Tensor& weight, const torch::Tensor& bias, const Make& of_weight,
                  const Make& of_bias = {});
  /// The parameters are not what they were (see PackedWeights).
  void forget();
  const PackedWeights& packed() const { return packed_; }

 private:
  std::vector<int64_t> state_;  ///< of the parameters
  torch::Tensor weight_, bias_;
  PackedWeights packed_;
};

/// What a layer that grows the grid keeps between calls. Not for several threads at once.
using GrowingWeights = std::vector<DerivedWeights>;

/// Nearest neighbour on twice the grid, then a convolution of kernel 3, stride 1 and padding 1: x (B, in,
/// spatial...), weight (out, in, 3...) -> (B, out, 2 * spatial...). An output voxel sees only 2 different
/// voxels along each axis, so it is computed by kernels of edge 2 with summed weights, one for each parity of
/// the output position: 8 / 27 of the products in three axes, forward and backward.
torch::Tensor doubled_convolution(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias, GrowingWeights& kept);

/// Transposed convolution without padding whose kernel is its stride: weight (in, out, stride...). Each voxel
/// becomes a block of its own, so it is a linear layer and a reordering, forward and backward.
torch::Tensor block_convolution(const torch::Tensor& x, const torch::Tensor& weight,
                                const torch::Tensor& bias, GrowingWeights& kept);

}  // namespace mambaseg
