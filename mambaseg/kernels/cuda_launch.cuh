// What every CUDA kernel file needs: launching, and reading either input type.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "mambaseg/kernels/bfloat16.h"

namespace mambaseg {

/// kernel<<<blocks, threads, 0, stream>>>(arguments...)
template <class... Arguments>
void launch(void (*kernel)(Arguments...), int64_t blocks, dim3 threads, void* stream,
            std::type_identity_t<Arguments>... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = threads;
  config.stream = static_cast<cudaStream_t>(stream);
  cudaLaunchKernelEx(&config, kernel, arguments...);
}

__device__ inline float load(const float* from) { return *from; }
__device__ inline float load(const Bfloat16* from) {
  return __uint_as_float(static_cast<uint32_t>(from->bits) << 16);
}

__device__ inline void store(float value, float* to) { *to = value; }
/// Rounds to nearest, ties to even; NaN stays NaN.
__device__ inline void store(float value, Bfloat16* to) {
  const uint32_t bits = __float_as_uint(value);
  const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  to->bits = static_cast<uint16_t>(value != value ? 0x7FC0 : rounded);
}

}  // namespace mambaseg
