#include "mambaseg/ops/device.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/dense.h"

namespace mambaseg {

torch::Device device_named(const std::string& name, int64_t gpus) {
  if (name == "cpu") return torch::kCPU;
  const std::string there = gpus == 0   ? "no GPU that this LibTorch can use, only cpu"
                            : gpus == 1 ? "cpu and one GPU, cuda:0"
                                        : concat("cpu and the GPUs cuda:0 to cuda:", gpus - 1);
  const std::string number = name.starts_with("cuda:") ? name.substr(5) : name == "cuda" ? "0" : "";
  const bool is_number =
      !number.empty() && number.size() <= 4 &&
      std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!is_number)
    throw UsageError(concat("--device ", name, ": expected cpu, cuda or cuda:1; there is ", there));
  const int index = std::stoi(number);
  if (index >= gpus) throw UsageError(concat("--device ", name, ": there is ", there));
  if (name == "cuda") return torch::kCUDA;
  return {torch::kCUDA, static_cast<torch::DeviceIndex>(index)};
}

torch::Tensor pinned_for(torch::Device device, const torch::Tensor& tensor) {
  if (!device.is_cuda()) return tensor;
  const c10::OptionalDeviceGuard guard(device);  // or it would be made by way of the first GPU
  return tensor.pin_memory();
}

torch::Tensor sent_to(torch::Device device, const torch::Tensor& tensor) {
  return tensor.to(torch::TensorOptions(device), /*non_blocking=*/true);
}

Arithmetic arithmetic_of(torch::Device device) {
  if (!device.is_cuda()) return {false, has_bf16_arithmetic(), dense_target()};
  // Asked in the way that needs no CUDA headers, which a build without our kernels does not have.
  const c10::OptionalDeviceGuard guard(device);
  return {true, at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8(), device.str()};
}

std::string precision_on(const Arithmetic& arithmetic, const std::string& wish) {
  if ((wish == "tf32" || wish == "fp16") && !arithmetic.cuda)
    throw UsageError(concat("precision ", wish, " is there with --device cuda only; here are fp32 and bf16"));
  if (wish == "bf16" || wish == "auto")
    return arithmetic.bf16 ? "bf16" : wish == "auto" && arithmetic.cuda ? "fp16" : "fp32";
  return wish;
}

}  // namespace mambaseg
