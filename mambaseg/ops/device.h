#pragma once

#include <string>

#include <torch/types.h>

namespace mambaseg {

/// "cpu", "cuda" or "cuda:1", of a machine with so many GPUs that LibTorch can use. UsageError, which says
/// what there is, for another name and for a GPU that is not there.
torch::Device device_named(const std::string& name, int64_t gpus);

/// A tensor of the host where `device` reads it while the host goes on: in pinned memory for a GPU; itself
/// for a processor.
torch::Tensor pinned_for(torch::Device device, const torch::Tensor& tensor);

/// The tensor on `device`. The host does not wait for a copy from pinned memory.
torch::Tensor sent_to(torch::Device device, const torch::Tensor& tensor);

/// What the choice of a precision depends on.
struct Arithmetic {
  bool cuda = false;
  bool bf16 = false;   ///< whether it multiplies bf16: elsewhere that is slower than fp32 and less exact
  std::string device;  ///< for people: "AVX-512 with AMX", "cuda:1"
};

/// bf16: of a processor as has_bf16_arithmetic says, of a GPU from compute capability 8 on.
Arithmetic arithmetic_of(torch::Device device);

/// What a wish for "fp32", "tf32", "bf16", "fp16" or "auto" becomes: "auto" is bf16 where that is multiplied,
/// else fp16 on a GPU and fp32 on a processor; bf16 is fp32 where it is not multiplied; the others are what
/// they are. UsageError for tf32 and fp16 on a processor.
std::string precision_on(const Arithmetic& arithmetic, const std::string& wish);

}  // namespace mambaseg
