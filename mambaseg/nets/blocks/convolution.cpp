#include "mambaseg/nets/blocks/convolution.h"

#include <torch/nn/init.h>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/norm.h"

namespace mambaseg {
namespace {

/// In place; `bias` may be undefined.
void start(torch::Tensor& weight, torch::Tensor& bias) {
  torch::NoGradGuard no_grad;
  torch::nn::init::kaiming_normal_(weight, kLeakySlope, torch::kFanIn, torch::kLeakyReLU);
  if (bias.defined()) bias.zero_();
}

std::vector<int64_t> weight_sizes(int64_t first, int64_t second, const Extent& kernel) {
  std::vector<int64_t> sizes{first, second};
  sizes.insert(sizes.end(), kernel.begin(), kernel.end());
  return sizes;
}

}  // namespace

Convolution::Convolution(const ConvolutionSettings& s) : settings_(s), ones_(s.kernel.size(), 1) {
  for (const int64_t edge : s.kernel) {
    if (edge % 2 == 0) throw UsageError(concat("network: kernel edges must be odd, not ", edge));
    padding_.push_back(edge / 2);
  }
  if (settings_.stride.empty()) settings_.stride = ones_;
  require(!s.depthwise || (s.in == s.out && settings_.stride == ones_),
          "network: a depthwise convolution keeps its channels and its size");
  weight = register_parameter("weight", torch::empty(weight_sizes(s.out, s.depthwise ? 1 : s.in, s.kernel)));
  if (s.bias) bias = register_parameter("bias", torch::empty({s.out}));
  start(weight, bias);
}

torch::Tensor Convolution::forward(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) {
  return convolution(x, {weight, bias, packed_, norm},
                     {settings_.stride, padding_, ones_, settings_.depthwise ? settings_.in : 1}, epilogue);
}

std::shared_ptr<Convolution> pointwise_convolution(int64_t dimension, int64_t in, int64_t out, bool bias) {
  ConvolutionSettings settings{in, out, Extent(static_cast<size_t>(dimension), 1), {}};
  settings.bias = bias;
  return std::make_shared<Convolution>(settings);
}

std::shared_ptr<Convolution> depthwise_convolution(int64_t dimension, int64_t channels, int64_t edge) {
  return std::make_shared<Convolution>(
      ConvolutionSettings{channels, channels, Extent(static_cast<size_t>(dimension), edge), {}, true});
}

TransposedConvolution::TransposedConvolution(int64_t in, int64_t out, const Extent& stride, bool with_bias) {
  weight = register_parameter("weight", torch::empty(weight_sizes(in, out, stride)));
  if (with_bias) bias = register_parameter("bias", torch::empty({out}));
  start(weight, bias);
}

torch::Tensor TransposedConvolution::forward(const torch::Tensor& x) {
  return block_convolution(x, weight, bias, grown_);
}

InstanceNorm::InstanceNorm(int64_t channels)
    : weight(register_parameter("weight", torch::ones({channels}))),
      bias(register_parameter("bias", torch::zeros({channels}))) {}

torch::Tensor InstanceNorm::forward(const torch::Tensor& x, const Epilogue& epilogue) {
  return group_norm(x, x.size(1), weight, bias, 1e-5, epilogue);
}

BatchNorm::BatchNorm(int64_t channels)
    : weight(register_parameter("weight", torch::ones({channels}))),
      bias(register_parameter("bias", torch::zeros({channels}))),
      running_mean(register_buffer("running_mean", torch::zeros({channels}))),
      running_var(register_buffer("running_var", torch::ones({channels}))),
      num_batches_tracked(register_buffer("num_batches_tracked", torch::zeros({}, torch::kLong))) {}

torch::Tensor BatchNorm::forward(const torch::Tensor& x, const Epilogue& epilogue) {
  if (is_training()) {
    num_batches_tracked.add_(1);
    return batch_norm(x, weight, bias, {running_mean, running_var, 0.1}, 1e-5, epilogue);
  }
  return finish(torch::batch_norm(x.to(weight.scalar_type()), weight, bias, running_mean, running_var, false,
                                  0, 1e-5, at::globalContext().userEnabledCuDNN())
                    .to(x.scalar_type()),
                epilogue);
}

torch::Tensor normed(Convolution& convolution, BatchNorm& norm, const torch::Tensor& x,
                     const Epilogue& epilogue) {
  if (torch::GradMode::is_enabled() || norm.is_training())
    return norm.forward(convolution.forward(x), epilogue);
  const FixedNorm fixed = norm.fixed();
  return convolution.forward(x, epilogue, &fixed);
}

torch::Tensor leaky(const torch::Tensor& x) { return torch::leaky_relu(x, kLeakySlope); }

torch::Tensor nearest_upsampled(const torch::Tensor& x, const Extent& factor) {
  std::vector<int64_t> sizes = x.sizes().slice(2).vec();
  for (size_t axis = 0; axis < sizes.size(); ++axis) sizes[axis] *= factor[axis];
  return sizes.size() == 2 ? torch::upsample_nearest2d(x, sizes) : torch::upsample_nearest3d(x, sizes);
}

torch::Tensor linear_upsampled(const torch::Tensor& x, int64_t factor) {
  std::vector<int64_t> sizes = x.sizes().slice(2).vec();
  for (int64_t& size : sizes) size *= factor;
  // LibTorch 1.13 interpolates no volume of 16-bit numbers on the CPU.
  const torch::Tensor wide = x.element_size() < 4 ? x.to(torch::kFloat) : x;
  return (sizes.size() == 2 ? torch::upsample_bilinear2d(wide, sizes, false)
                            : torch::upsample_trilinear3d(wide, sizes, false))
      .to(x.scalar_type());
}

}  // namespace mambaseg
