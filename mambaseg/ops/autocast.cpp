#include "mambaseg/ops/autocast.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/version.h>

#include "mambaseg/ops/device.h"

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
#define MAMBASEG_AUTOCAST_BY_DEVICE
#endif

namespace mambaseg {
namespace {

void set_autocast(torch::DeviceType device, bool enabled) {
#ifdef MAMBASEG_AUTOCAST_BY_DEVICE
  at::autocast::set_autocast_enabled(device, enabled);
#else
  device == torch::kCPU ? at::autocast::set_cpu_enabled(enabled) : at::autocast::set_enabled(enabled);
#endif
}

void set_autocast_type(torch::DeviceType device, torch::ScalarType type) {
#ifdef MAMBASEG_AUTOCAST_BY_DEVICE
  at::autocast::set_autocast_dtype(device, type);
#else
  device == torch::kCPU ? at::autocast::set_autocast_cpu_dtype(type)
                        : at::autocast::set_autocast_gpu_dtype(type);
#endif
}

torch::ScalarType autocast_type(torch::DeviceType device) {
#ifdef MAMBASEG_AUTOCAST_BY_DEVICE
  return at::autocast::get_autocast_dtype(device);
#else
  return device == torch::kCPU ? at::autocast::get_autocast_cpu_dtype()
                               : at::autocast::get_autocast_gpu_dtype();
#endif
}

bool is_autocast(torch::DeviceType device) {
#ifdef MAMBASEG_AUTOCAST_BY_DEVICE
  return at::autocast::is_autocast_enabled(device);
#else
  return device == torch::kCPU ? at::autocast::is_cpu_enabled() : at::autocast::is_enabled();
#endif
}

}  // namespace

Autocast::Autocast(const std::string& precision, torch::Device device) : device_(device.type()) {
  if (precision == "fp32") return;
  const std::string computed = precision_on(arithmetic_of(device), precision);
  active_ = computed == "bf16" || computed == "fp16";
  if (!active_) return;
  was_enabled_ = is_autocast(device_);
  type_before_ = autocast_type(device_);
  at::autocast::increment_nesting();
  set_autocast_type(device_, computed == "fp16" ? torch::kHalf : torch::kBFloat16);
  set_autocast(device_, true);
}

Autocast::~Autocast() {
  if (!active_) return;
  set_autocast(device_, was_enabled_);
  set_autocast_type(device_, type_before_);
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
}

std::string autocast_precision(torch::Device device) {
  if (!is_autocast(device.type())) return "fp32";
  return autocast_type(device.type()) == torch::kHalf ? "fp16" : "bf16";
}

void allow_tf32(bool allowed) {
  at::globalContext().setAllowTF32CuDNN(allowed);
  at::globalContext().setAllowTF32CuBLAS(allowed);
}

AllowTf32::AllowTf32(bool allowed)
    : before_(at::globalContext().allowTF32CuDNN() && at::globalContext().allowTF32CuBLAS()) {
  allow_tf32(allowed);
}
AllowTf32::~AllowTf32() { allow_tf32(before_); }

torch::Tensor as_autocast(const torch::Tensor& x) {
  const torch::DeviceType device = x.device().type();
  return x.scalar_type() == torch::kFloat && is_autocast(device) ? x.to(autocast_type(device)) : x;
}

}  // namespace mambaseg
