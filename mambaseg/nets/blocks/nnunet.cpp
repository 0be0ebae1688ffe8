#include "mambaseg/nets/blocks/nnunet.h"

#include <algorithm>

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>

namespace mambaseg {
namespace {

Extent same(int64_t dimension, int64_t value) { return Extent(static_cast<size_t>(dimension), value); }

void check_extents(const std::vector<Extent>& extents, const UNetShape& shape, const char* what) {
  if (extents.empty()) return;
  if (static_cast<int64_t>(extents.size()) != shape.stages())
    throw UsageError(
        concat("network: ", what, " has ", extents.size(), " entries, but features ", shape.stages()));
  for (const Extent& extent : extents)
    if (static_cast<int64_t>(extent.size()) != shape.dimension)
      throw UsageError(concat("network: each entry of ", what, " needs ", shape.dimension, " numbers, not ",
                              extent.size()));
}

/// A sixteenth of the channels as a multiple of eight, at least eight.
int64_t squeezed(int64_t channels) { return std::max<int64_t>(8, (channels / 16 + 4) / 8 * 8); }

}  // namespace

Extent UNetShape::kernel(int64_t stage) const {
  return kernels.empty() ? same(dimension, 3) : kernels[static_cast<size_t>(stage)];
}

Extent UNetShape::stride(int64_t stage) const {
  return strides.empty() ? same(dimension, stage == 0 ? 1 : 2) : strides[static_cast<size_t>(stage)];
}

int64_t UNetShape::size_multiple() const {
  Extent product = same(dimension, 1);
  for (int64_t s = 0; s < stages(); ++s)
    for (size_t axis = 0; axis < product.size(); ++axis) product[axis] *= stride(s)[axis];
  return *std::max_element(product.begin(), product.end());
}

void UNetShape::check() const {
  if (stages() < 2) throw UsageError(concat("network: features needs two stages at least, not ", stages()));
  check_extents(kernels, *this, "kernels");
  check_extents(strides, *this, "strides");
}

std::vector<int64_t> per_stage(const std::vector<int64_t>& given, int64_t count, const char* what) {
  if (given.size() == 1) return std::vector<int64_t>(static_cast<size_t>(count), given[0]);
  if (static_cast<int64_t>(given.size()) != count)
    throw UsageError(concat("network: ", what, " has ", given.size(), " entries, expected 1 or ", count));
  return given;
}

ConvNormAct::ConvNormAct(const ConvolutionSettings& convolution, bool activation)
    : conv_(register_module("conv", std::make_shared<Convolution>(convolution))),
      norm_(register_module("norm", std::make_shared<InstanceNorm>(convolution.out))),
      activation_(activation) {}

torch::Tensor ConvNormAct::forward(const torch::Tensor& x) {
  return norm_->forward(conv_->forward(x), {activation_ ? Activation::leaky_relu : Activation::none, {}});
}

ConvStack::ConvStack(int64_t count, int64_t in, int64_t out, const Extent& kernel, const Extent& stride) {
  for (int64_t i = 0; i < count; ++i)
    convs_.push_back(std::make_shared<ConvNormAct>(
        ConvolutionSettings{i == 0 ? in : out, out, kernel, i == 0 ? stride : Extent{}}));
  register_list(*this, "convs", convs_);
}

torch::Tensor ConvStack::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  for (const auto& conv : convs_) y = conv->forward(y);
  return y;
}

SqueezeExcite::SqueezeExcite(int64_t dimension, int64_t channels)
    : fc1_(register_module("fc1", pointwise_convolution(dimension, channels, squeezed(channels)))),
      fc2_(register_module("fc2", pointwise_convolution(dimension, squeezed(channels), channels))) {}

torch::Tensor SqueezeExcite::forward(const torch::Tensor& x) {
  const torch::Tensor squeezed_x = x.mean({2, 3}, /*keepdim=*/true);
  return x * torch::sigmoid(fc2_->forward(torch::relu(fc1_->forward(squeezed_x))));
}

BasicBlockD::BasicBlockD(int64_t in, int64_t out, const Extent& kernel, const Extent& stride,
                         bool squeeze_excitation)
    : stride_(stride),
      strided_(std::any_of(stride.begin(), stride.end(), [](int64_t s) { return s != 1; })),
      conv1_(register_module("conv1",
                             std::make_shared<ConvNormAct>(ConvolutionSettings{in, out, kernel, stride}))),
      conv2_(register_module(
          "conv2", std::make_shared<ConvNormAct>(ConvolutionSettings{out, out, kernel, {}}, false))) {
  const auto dimension = static_cast<int64_t>(kernel.size());
  if (in != out) {
    ConvolutionSettings convolution{in, out, Extent(kernel.size(), 1), {}};
    convolution.bias = false;
    projection_ = std::make_shared<ConvNormAct>(convolution, false);
    torch::nn::ModuleList skip;
    if (strided_) skip->push_back(torch::nn::Identity());  // the pooling, so that the projection is skip.1
    skip->push_back(std::static_pointer_cast<torch::nn::Module>(projection_));
    register_module("skip", skip);
  }
  if (squeeze_excitation)
    squeeze_excitation_ =
        register_module("squeeze_excitation", std::make_shared<SqueezeExcite>(dimension, out));
}

torch::Tensor BasicBlockD::forward(const torch::Tensor& x) {
  torch::Tensor skip = x;
  if (strided_)
    skip =
        stride_.size() == 2 ? torch::avg_pool2d(x, stride_, stride_) : torch::avg_pool3d(x, stride_, stride_);
  if (projection_) skip = projection_->forward(skip);
  torch::Tensor y = conv2_->forward(conv1_->forward(x));
  if (squeeze_excitation_) y = squeeze_excitation_->forward(y);
  return leaky(y + skip);
}

void BasicBlockD::silence() {
  torch::NoGradGuard no_grad;
  conv2_->named_parameters()["norm.weight"].zero_();
}

NnunetDecoder::NnunetDecoder(const UNetShape& shape, const std::vector<int64_t>& convolutions) {
  const std::vector<int64_t> counts = per_stage(convolutions, shape.stages() - 1, "decoder_convolutions");
  for (int64_t below = shape.stages() - 1; below > 0; --below) {
    const int64_t in = shape.features[static_cast<size_t>(below)],
                  out = shape.features[static_cast<size_t>(below - 1)];
    transpconvs_.push_back(std::make_shared<TransposedConvolution>(in, out, shape.stride(below)));
    stages_.push_back(
        std::make_shared<ConvStack>(counts[stages_.size()], 2 * out, out, shape.kernel(below - 1), Extent{}));
    seg_layers_.push_back(pointwise_convolution(shape.dimension, out, shape.classes));
  }
  register_list(*this, "transpconvs", transpconvs_);
  register_list(*this, "stages", stages_);
  register_list(*this, "seg_layers", seg_layers_);
}

std::vector<torch::Tensor> NnunetDecoder::forward(const std::vector<torch::Tensor>& skips, bool all_scales) {
  std::vector<torch::Tensor> scores;
  torch::Tensor x = skips.back();
  for (size_t s = 0; s < stages_.size(); ++s) {
    x = stages_[s]->forward(torch::cat({transpconvs_[s]->forward(x), skips[skips.size() - 2 - s]}, 1));
    if (all_scales || s + 1 == stages_.size()) scores.push_back(seg_layers_[s]->forward(x));
  }
  std::reverse(scores.begin(), scores.end());
  return scores;
}

}  // namespace mambaseg
