// Stands before CUDA's header of this name where the kernels are compiled as plain C++: the words of the
// language that they use, computed by the emulation of emulation.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#define __host__
#define __device__
#define __global__
#define __launch_bounds__(...)
#define __shared__ static  // one block runs at a time

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned along_x = 1, unsigned along_y = 1, unsigned along_z = 1)
      : x(along_x), y(along_y), z(along_z) {}
};
using cudaStream_t = void*;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

extern dim3 gridDim, blockDim, blockIdx, threadIdx;

namespace mambaseg::emulation {
void run_grid(const dim3& blocks, const dim3& threads, const std::function<void()>& kernel);
uint32_t exchange(uint32_t bits, int lane_xor);
}  // namespace mambaseg::emulation

/// Runs the kernel to its end.
template <class... Expected, class... Given>
void cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Expected...), Given&&... arguments) {
  mambaseg::emulation::run_grid(config->gridDim, config->blockDim, [&] { kernel(arguments...); });
}

void __syncthreads();

inline uint32_t __float_as_uint(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float __uint_as_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
/// All threads of the warp take part, as the mask of all of them says.
inline float __shfl_xor_sync(unsigned, float value, int lane_xor) {
  return __uint_as_float(mambaseg::emulation::exchange(__float_as_uint(value), lane_xor));
}
