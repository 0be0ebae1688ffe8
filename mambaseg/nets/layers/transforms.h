#pragma once

#include <torch/types.h>

/// Fixed orthonormal transforms along every spatial axis of x (B, C, spatial...), in any number of
/// dimensions. They keep sums of squares; differentiable.
namespace mambaseg {

/// One level of the Haar wavelet transform, sizes even: (B, 2^dims * C, S / 2...). Band b holds differences
/// of neighbours along the axes whose bits are set in b (the first axis is the lowest bit), sums along the
/// others; each band holds all channels.
torch::Tensor haar(const torch::Tensor& x);

/// Undoes haar.
torch::Tensor inverse_haar(const torch::Tensor& bands);

/// The discrete cosine transform (DCT-II): frequency k along an axis of n voxels is
///   sqrt(2 / n) * sum over i of x_i cos(pi k (2 i + 1) / (2 n)), and sqrt(1 / n) * sum of x_i for k = 0.
torch::Tensor cosine_transform(const torch::Tensor& x);

/// Undoes cosine_transform.
torch::Tensor inverse_cosine_transform(const torch::Tensor& frequencies);

}  // namespace mambaseg
