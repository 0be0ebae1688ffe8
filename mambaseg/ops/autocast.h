#pragma once

#include <string>

#include <torch/types.h>

namespace mambaseg {

/// While it lives (another may live inside it), convolutions and matrix products of this thread run in
/// bfloat16 where `precision` is "bf16" or "auto" and the device multiplies bf16 (elsewhere it would be
/// slower than float32 and less exact), and in float16 where it is "fp16" (CUDA only); weights, norms, losses
/// and the state of the selective scan stay in float32. Nothing happens for "fp32".
class Autocast {
 public:
  Autocast(const std::string& precision, torch::Device device);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool active_;
  torch::DeviceType device_;
  bool was_enabled_ = false;  ///< what is put back
  torch::ScalarType type_before_ = torch::kBFloat16;
};

/// Whether convolutions and matrix products of float32 on a GPU may be computed in TF32, whose numbers have
/// 10 bits behind the point instead of 23; LibTorch's convolutions are unless this is called with false. For
/// the whole process.
void allow_tf32(bool allowed);

/// x in the type in which the surrounding Autocast computes convolutions; x itself where there is none.
torch::Tensor as_autocast(const torch::Tensor& x);

}  // namespace mambaseg
