#pragma once

#include <torch/types.h>

namespace mambaseg {

/// The stream (a cudaStream_t) on which LibTorch at the moment works on a GPU. Throws c10::Error in a build
/// without CUDA kernels.
void* current_cuda_stream(torch::Device device);

/// Throws c10::Error when a launch since the last call failed.
void check_cuda_launches();

}  // namespace mambaseg
