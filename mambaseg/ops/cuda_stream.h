#pragma once

#include <torch/types.h>

namespace mambaseg {

/// The stream (a cudaStream_t) on which LibTorch at the moment works on a GPU. Throws c10::Error in a build
/// without CUDA kernels.
void* current_cuda_stream(torch::Device device);

/// The most memory that tensors on this GPU took at once, in bytes, since forget_cuda_peak or the start; 0 in
/// a build without CUDA kernels.
int64_t cuda_peak_bytes(torch::Device device);
void forget_cuda_peak(torch::Device device);

/// What tensors on this GPU may still take, in bytes; 0, which is unknown, in a build without CUDA kernels.
int64_t cuda_free_bytes(torch::Device device);

/// Throws c10::Error when a launch since the last call failed.
void check_cuda_launches();

}  // namespace mambaseg
