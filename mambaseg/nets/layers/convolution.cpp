#include "mambaseg/nets/layers/convolution.h"

#include <algorithm>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

Extent or_all(const Extent& given, const Extent& kernel, int64_t otherwise) {
  return given.empty() ? Extent(kernel.size(), otherwise) : given;
}

std::vector<int64_t> weight_sizes(int64_t first, int64_t second, const Extent& kernel) {
  std::vector<int64_t> sizes{first, second};
  sizes.insert(sizes.end(), kernel.begin(), kernel.end());
  return sizes;
}

/// Keeps the size at stride 1.
Extent half_reach(const Extent& kernel, const Extent& dilation) {
  Extent padding;
  for (size_t axis = 0; axis < kernel.size(); ++axis) {
    if (kernel[axis] % 2 == 0)
      throw UsageError(concat("network: kernel edges must be odd, not ", kernel[axis]));
    padding.push_back(dilation[axis] * (kernel[axis] / 2));
  }
  return padding;
}

}  // namespace

Convolution::Convolution(int64_t in, int64_t out, const Extent& kernel, const ConvolutionSettings& s) {
  options_.stride = or_all(s.stride, kernel, 1);
  options_.dilation = or_all(s.dilation, kernel, 1);
  options_.padding = s.padding.empty() ? half_reach(kernel, options_.dilation) : s.padding;
  options_.groups = s.groups;
  if (in % s.groups != 0 || out % s.groups != 0)
    throw UsageError(
        concat("network: ", in, " and ", out, " channels do not divide into ", s.groups, " groups"));
  weight = register_parameter("weight", torch::empty(weight_sizes(out, in / s.groups, kernel)));
  if (s.bias) bias = register_parameter("bias", torch::empty({out}));
  start_weights(s.start, weight, bias);
}

torch::Tensor Convolution::run(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) {
  return convolution(x, {weight, bias, packed_, norm}, options_, epilogue);
}

std::shared_ptr<Convolution> conv(int64_t dims, int64_t in, int64_t out, int64_t edge,
                                  const ConvolutionSettings& settings) {
  return std::make_shared<Convolution>(in, out, cube(dims, edge), settings);
}

std::shared_ptr<Convolution> depthwise(int64_t dims, int64_t channels, int64_t edge,
                                       ConvolutionSettings settings) {
  settings.groups = channels;
  return conv(dims, channels, channels, edge, settings);
}

TransposedConvolution::TransposedConvolution(int64_t in, int64_t out, const Extent& kernel,
                                             const TransposedSettings& s)
    : stride_(s.stride.empty() ? kernel : s.stride),
      padding_(or_all(s.padding, kernel, 0)),
      output_padding_(or_all(s.output_padding, kernel, 0)) {
  const Extent none(kernel.size(), 0);
  blocks_ = stride_ == kernel && padding_ == none && output_padding_ == none;
  weight = register_parameter("weight", torch::empty(weight_sizes(in, out, kernel)));
  if (s.bias) bias = register_parameter("bias", torch::empty({out}));
  start_weights(s.start, weight, bias);
}

torch::Tensor TransposedConvolution::forward(const torch::Tensor& x) {
  if (blocks_) return block_convolution(x, weight, bias, grown_);
  const torch::Tensor wide = x.to(weight.scalar_type());
  // LibTorch adds up the gradient of its bias one number after the other; here they are added up in pairs.
  const bool apart = bias.defined() && torch::GradMode::is_enabled();
  const torch::Tensor with = apart ? torch::Tensor() : bias;
  torch::Tensor grown = stride_.size() == 2
                            ? torch::conv_transpose2d(wide, weight, with, stride_, padding_, output_padding_)
                            : torch::conv_transpose3d(wide, weight, with, stride_, padding_, output_padding_);
  if (apart) grown = grown + bias.view(stride_.size() == 2 ? Extent{-1, 1, 1} : Extent{-1, 1, 1, 1});
  return grown.to(x.scalar_type());
}

}  // namespace mambaseg
