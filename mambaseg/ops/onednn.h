#pragma once

#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/dense.h"

/// The calls of oneDNN, for the operators of this folder. Tensors are on the CPU, x and gradients fp32 or
/// bf16, weights fp32; a convolution's activations are made channels-last by the caller. `no_onednn.cpp`
/// stands in where the library is missing.
namespace mambaseg::onednn {

/// Whether `x` can be computed here: the library is there, the device and the type are its.
bool takes(const torch::Tensor& x);
/// Whether fp32 stands in for the bf16 of `x`: where it is not computed here, LibTorch's own loops would sum
/// in bf16.
inline bool wants_fp32(const torch::Tensor& x) {
  return fits_kernels(x) && x.scalar_type() == torch::kBFloat16 && !takes(x);
}
bool has_bf16_arithmetic();
const char* target();

/// As in dense.h, `y` (channels-last) and its sizes are the caller's.
void convolution(const torch::Tensor& x, const DenseWeights& weights, const ConvolutionOptions& options,
                 const Epilogue& epilogue, torch::Tensor& y);
/// Gradient with respect to the input: dx of dy, both channels-last.
void convolution_backward_data(const torch::Tensor& dy, const DenseWeights& weights,
                               const ConvolutionOptions& options, torch::Tensor& dx);
/// Gradients of weight and, when defined, bias, fp32.
void convolution_backward_weights(const torch::Tensor& x, const torch::Tensor& dy,
                                  const PackedWeights& packed, const ConvolutionOptions& options,
                                  torch::Tensor& dweight, torch::Tensor& dbias);

/// y = act(x W^T + bias + residual); x (rows, in), y (rows, out): last axis contiguous, any distance of rows.
void linear(const torch::Tensor& x, const DenseWeights& weights, const Epilogue& epilogue, torch::Tensor& y);
/// dx = dy W; dy (rows, out), dx (rows, in).
void linear_backward_data(const torch::Tensor& dy, const DenseWeights& weights, torch::Tensor& dx);
/// dweight = dy^T x (out, in), fp32.
void linear_backward_weights(const torch::Tensor& x, const torch::Tensor& dy, const PackedWeights& packed,
                             torch::Tensor& dweight);

}  // namespace mambaseg::onednn
