#include "mambaseg/ops/cuda_stream.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

namespace mambaseg {

void* current_cuda_stream(torch::Device device) {
  return c10::cuda::getCurrentCUDAStream(device.index()).stream();
}

void check_cuda_launches() { C10_CUDA_KERNEL_LAUNCH_CHECK(); }

}  // namespace mambaseg
