#include "mambaseg/ops/cuda_stream.h"

#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

namespace mambaseg {
namespace {

/// The current GPU where the device names none.
c10::DeviceIndex index_of(torch::Device device) {
  return device.has_index() ? device.index() : c10::cuda::current_device();
}

}  // namespace

void* current_cuda_stream(torch::Device device) {
  return c10::cuda::getCurrentCUDAStream(device.index()).stream();
}

int64_t cuda_peak_bytes(torch::Device device) {
  return c10::cuda::CUDACachingAllocator::getDeviceStats(index_of(device)).allocated_bytes[0].peak;
}

void forget_cuda_peak(torch::Device device) {
  c10::cuda::CUDACachingAllocator::resetPeakStats(index_of(device));
}

int64_t cuda_free_bytes(torch::Device device) {
  const c10::DeviceGuard guard(torch::Device(torch::kCUDA, index_of(device)));
  size_t free = 0, total = 0;
  C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  const auto kept = c10::cuda::CUDACachingAllocator::getDeviceStats(index_of(device));  // for later tensors
  return static_cast<int64_t>(free) + kept.reserved_bytes[0].current - kept.allocated_bytes[0].current;
}

void check_cuda_launches() { C10_CUDA_KERNEL_LAUNCH_CHECK(); }

}  // namespace mambaseg
