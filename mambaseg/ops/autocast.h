#pragma once

#include <string>

#include <torch/types.h>

namespace mambaseg {

/// While it lives (another may live inside it), convolutions and matrix products of this thread run in
/// bfloat16 or float16 where `precision` is that on the device (precision_on); weights, norms, losses and the
/// state of the selective scan stay in float32. Nothing happens for "fp32" and "tf32".
class Autocast {
 public:
  Autocast(const std::string& precision, torch::Device device);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool active_ = false;
  torch::DeviceType device_;
  bool was_enabled_ = false;  ///< what is put back
  torch::ScalarType type_before_ = torch::kBFloat16;
};

/// The precision with which an Autocast of the device surrounds this thread; "fp32" where none does.
std::string autocast_precision(torch::Device device);

/// Whether convolutions and matrix products of float32 on a GPU may be computed in TF32, whose numbers have
/// 10 bits behind the point instead of 23; LibTorch's convolutions are unless this is called with false. For
/// the whole process.
void allow_tf32(bool allowed);

/// allow_tf32(allowed) while it lives.
class AllowTf32 {
 public:
  explicit AllowTf32(bool allowed);
  ~AllowTf32();
  AllowTf32(const AllowTf32&) = delete;
  AllowTf32& operator=(const AllowTf32&) = delete;

 private:
  bool before_;
};

/// x in the type in which the surrounding Autocast computes convolutions; x itself where there is none.
torch::Tensor as_autocast(const torch::Tensor& x);

}  // namespace mambaseg
