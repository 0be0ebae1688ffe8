#pragma once

#include <torch/types.h>

#include "mambaseg/kernels/bfloat16.h"
#include "mambaseg/ops/plain_libtorch.h"

/// What the operators on channels-last activations share.
namespace mambaseg {

/// x (B, C, spatial...) in memory as (B, spatial..., C); spatial has two or three axes.
inline torch::Tensor channels_last(const torch::Tensor& x) {
  return x.contiguous(x.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::ChannelsLast3d);
}

/// Whether an operator that takes both layouts works channels-last on x (B, C, spatial...). On a processor
/// all do. On a GPU x is taken as it lies: LibTorch's convolutions leave it channels first there, and to turn
/// it around for one layer between two of them moves all of it twice.
inline bool works_channels_last(torch::Device device, const torch::Tensor& x) {
  if (!device.is_cuda()) return true;
  return !x.is_contiguous() && channels_last(x).is_same(x);
}

/// Uninitialised, of these sizes, channels-last, type and device of `like`.
inline torch::Tensor empty_channels_last(at::IntArrayRef sizes, const torch::Tensor& like) {
  return torch::empty(sizes,
                      like.options().memory_format(sizes.size() == 4 ? at::MemoryFormat::ChannelsLast
                                                                     : at::MemoryFormat::ChannelsLast3d));
}

/// Whether an operation on these tensors is recorded for the backward pass; undefined ones do not count.
inline bool needs_gradient(std::initializer_list<torch::Tensor> tensors) {
  if (!torch::GradMode::is_enabled()) return false;
  for (const torch::Tensor& t : tensors)
    if (t.defined() && t.requires_grad()) return true;
  return false;
}

/// Whether the kernels take it: fp32 or bf16 on the CPU, unless LibTorch is asked for.
inline bool fits_kernels(const torch::Tensor& x) {
  return !PlainLibTorchGuard::active() && x.is_cpu() &&
         (x.scalar_type() == torch::kFloat || x.scalar_type() == torch::kBFloat16);
}

/// Calls action(pointer) with the numbers of `x` as the kernels see them.
template <class Action>
void with_numbers(const torch::Tensor& x, Action action) {
  if (x.scalar_type() == torch::kBFloat16)
    action(static_cast<Bfloat16*>(x.data_ptr()));
  else
    action(x.data_ptr<float>());
}

}  // namespace mambaseg
