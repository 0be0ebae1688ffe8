#include "mambaseg/nets/blocks/nnunet.h"

#include "mambaseg/nets/blocks/official_blocks.h"

#include <algorithm>

#include "mambaseg/nets/model/network.h"

namespace mambaseg {
namespace {

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

/// One extent a stage from "one number", "one number a stage" or "one list a stage".
std::vector<Extent> extents(const Json& given, int64_t stages, int64_t dims) {
  if (given.is_number())
    return std::vector<Extent>(static_cast<size_t>(stages), cube(dims, given.get<int64_t>()));
  std::vector<Extent> out;
  for (const Json& stage : given)
    out.push_back(stage.is_number() ? cube(dims, stage.get<int64_t>()) : stage.get<Extent>());
  return out;
}

int64_t dimensions(const Json& arguments) {
  const auto text = argument<std::string>(arguments, "conv_op", argument<std::string>(arguments, "dim", ""));
  if (text.find('2') != std::string::npos) return 2;
  const auto kernels = arguments.find("kernel_sizes");
  const bool listed =
      kernels != arguments.end() && kernels->is_array() && !kernels->empty() && kernels->front().is_array();
  return text.empty() && listed ? static_cast<int64_t>(kernels->front().size()) : 3;
}

/// A sixteenth of the channels as a multiple of eight, at least eight.
int64_t squeezed(int64_t channels) { return std::max<int64_t>(8, (channels / 16 + 4) / 8 * 8); }

}  // namespace

Extent UNetShape::kernel(int64_t stage) const {
  return kernels.empty() ? cube(dimension, 3) : kernels[static_cast<size_t>(stage)];
}

Extent UNetShape::stride(int64_t stage) const {
  return strides.empty() ? cube(dimension, stage == 0 ? 1 : 2) : strides[static_cast<size_t>(stage)];
}

Extent UNetShape::size_multiples() const {
  Extent product = cube(dimension, 1);
  for (int64_t s = 0; s < stages(); ++s)
    for (size_t axis = 0; axis < product.size(); ++axis) product[axis] *= stride(s)[axis];
  return product;
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

std::vector<int64_t> stage_numbers(const Json& arguments, const char* name) {
  const Json& given = arguments.at(name);
  return given.is_number() ? std::vector<int64_t>{given.get<int64_t>()} : given.get<std::vector<int64_t>>();
}

void read_shape(const Json& arguments, UNetShape& shape) {
  const int64_t stages = arguments.at("n_stages");
  shape.dimension = dimensions(arguments);
  shape.in_channels = arguments.at("input_channels");
  shape.classes = arguments.at("num_classes");
  shape.features = per_stage(stage_numbers(arguments, "features_per_stage"), stages, "features_per_stage");
  shape.kernels = extents(arguments.at("kernel_sizes"), stages, shape.dimension);
  shape.strides = extents(arguments.at("strides"), stages, shape.dimension);
  shape.deep_supervision = argument(arguments, "deep_supervision", false);
}

std::string nnunet_name(const std::string& official) {
  std::string name = official;
  const std::string mirrored = "decoder.encoder.", parts = "all_modules.";
  if (name.starts_with(mirrored)) name.erase(0, mirrored.size() - std::string("encoder.").size());
  const size_t found = name.find(parts);
  if (found == std::string::npos) return name;
  const size_t index = found + parts.size(), rest = name.find('.', index);
  if (rest == std::string::npos) return name;
  return name.substr(0, found) + (name.substr(index, rest - index) == "0" ? "conv" : "norm") +
         name.substr(rest);
}

ConvolutionSettings nnunet_convolution(const Extent& stride) {
  return {.stride = stride, .start = Start::nnunet};
}

std::shared_ptr<Convolution> nnunet_pointwise(int64_t dims, int64_t in, int64_t out) {
  return conv(dims, in, out, 1, nnunet_convolution());
}

torch::Tensor leaky(const torch::Tensor& x) { return torch::leaky_relu(x, kLeakySlope); }

ConvNormAct::ConvNormAct(int64_t in, int64_t out, const Extent& kernel,
                         const ConvolutionSettings& convolution, bool activation)
    : conv_(register_module("conv", std::make_shared<Convolution>(in, out, kernel, convolution))),
      norm_(register_module("norm", std::make_shared<InstanceNorm>(out))),
      activation_(activation) {}

torch::Tensor ConvNormAct::forward(const torch::Tensor& x) {
  return norm_->run(conv_->forward(x), {activation_ ? Activation::leaky_relu : Activation::none, {}});
}

ConvStack::ConvStack(int64_t count, int64_t in, int64_t out, const Extent& kernel, const Extent& stride) {
  for (int64_t i = 0; i < count; ++i)
    convs_.push_back(std::make_shared<ConvNormAct>(i == 0 ? in : out, out, kernel,
                                                   nnunet_convolution(i == 0 ? stride : Extent{})));
  register_list(*this, "convs", convs_);
}

void ConvStack::then(const char* name, std::shared_ptr<Layer> layer) {
  behind_ = register_module(name, std::move(layer));
}

torch::Tensor ConvStack::compute(const torch::Tensor& x) {
  torch::Tensor y = x;
  for (const auto& conv : convs_) y = conv->forward(y);
  return behind_ ? behind_->forward(y) : y;
}

SqueezeExcite::SqueezeExcite(int64_t dimension, int64_t channels)
    : fc1_(register_module("fc1", nnunet_pointwise(dimension, channels, squeezed(channels)))),
      fc2_(register_module("fc2", nnunet_pointwise(dimension, squeezed(channels), channels))) {}

torch::Tensor SqueezeExcite::forward(const torch::Tensor& x) {
  const torch::Tensor squeezed_x = x.mean({2, 3}, /*keepdim=*/true);
  return x * torch::sigmoid(fc2_->forward(torch::relu(fc1_->forward(squeezed_x))));
}

BasicBlockD::BasicBlockD(int64_t in, int64_t out, const Extent& kernel, const Extent& stride,
                         bool squeeze_excitation)
    : stride_(stride),
      strided_(std::any_of(stride.begin(), stride.end(), [](int64_t s) { return s != 1; })),
      conv1_(register_module("conv1",
                             std::make_shared<ConvNormAct>(in, out, kernel, nnunet_convolution(stride)))),
      conv2_(register_module("conv2",
                             std::make_shared<ConvNormAct>(out, out, kernel, nnunet_convolution(), false))) {
  const auto dims = static_cast<int64_t>(kernel.size());
  if (in != out) {
    ConvolutionSettings convolution = nnunet_convolution();
    convolution.bias = false;
    projection_ = std::make_shared<ConvNormAct>(in, out, cube(dims, 1), convolution, false);
    // Behind the pooling, if there is one.
    register_module("skip", std::make_shared<torch::nn::Module>())
        ->register_module(strided_ ? "1" : "0", projection_);
  }
  if (squeeze_excitation)
    squeeze_excitation_ = register_module("squeeze_excitation", std::make_shared<SqueezeExcite>(dims, out));
}

torch::Tensor BasicBlockD::compute(const torch::Tensor& x) {
  torch::Tensor skip = x;
  if (strided_) skip = average_pooled(x, stride_);
  if (projection_) skip = projection_->forward(skip);
  torch::Tensor y = conv2_->forward(conv1_->forward(x));
  if (squeeze_excitation_) y = squeeze_excitation_->forward(y);
  return leaky(y + skip);
}

void BasicBlockD::silence() {
  torch::NoGradGuard no_grad;
  conv2_->named_parameters()["norm.weight"].zero_();
}

ResidualStage::ResidualStage(int64_t count, int64_t in, int64_t out, const Extent& kernel,
                             const Extent& stride, bool squeeze_excitation) {
  for (int64_t i = 0; i < count; ++i)
    blocks_.push_back(std::make_shared<BasicBlockD>(
        i == 0 ? in : out, out, kernel, i == 0 && !stride.empty() ? stride : Extent(kernel.size(), 1),
        squeeze_excitation));
  register_list(*this, "blocks", blocks_);
}

torch::Tensor ResidualStage::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  for (const auto& block : blocks_) y = block->forward(y);
  return y;
}

ResidualEncoder::ResidualEncoder(const UNetShape& shape, const std::vector<int64_t>& blocks,
                                 bool squeeze_excitation) {
  const std::vector<int64_t> counts = per_stage(blocks, shape.stages(), "blocks");
  int64_t in = shape.features[0];
  stem_ = register_module("stem",
                          std::make_shared<ConvStack>(1, shape.in_channels, in, shape.kernel(0), Extent{}));
  for (int64_t stage = 0; stage < shape.stages(); ++stage) {
    const auto index = static_cast<size_t>(stage);
    stages_.push_back(std::make_shared<ResidualStage>(counts[index], in, shape.features[index],
                                                      shape.kernel(stage), shape.stride(stage),
                                                      squeeze_excitation));
    in = shape.features[index];
  }
  register_list(*this, "stages", stages_);
}

std::vector<torch::Tensor> ResidualEncoder::forward(
    const torch::Tensor& x, const std::function<torch::Tensor(size_t, const torch::Tensor&)>& behind) {
  std::vector<torch::Tensor> skips;
  torch::Tensor y = stem_->forward(x);
  for (size_t i = 0; i < stages_.size(); ++i) {
    y = stages_[i]->forward(y);
    if (behind) y = behind(i, y);
    skips.push_back(y);
  }
  return skips;
}

NnunetDecoder::NnunetDecoder(const UNetShape& shape, const std::vector<int64_t>& convolutions,
                             bool residual) {
  const std::vector<int64_t> counts = per_stage(convolutions, shape.stages() - 1, "decoder_convolutions");
  for (int64_t below = shape.stages() - 1; below > 0; --below) {
    const int64_t in = shape.features[static_cast<size_t>(below)],
                  out = shape.features[static_cast<size_t>(below - 1)];
    transpconvs_.push_back(std::make_shared<TransposedConvolution>(
        in, out, shape.stride(below), TransposedSettings{.start = Start::nnunet}));
    const int64_t count = counts[stages_.size()];
    const Extent kernel = shape.kernel(below - 1);
    if (residual)
      stages_.push_back(std::make_shared<ResidualStage>(count, 2 * out, out, kernel));
    else
      stages_.push_back(std::make_shared<ConvStack>(count, 2 * out, out, kernel, Extent{}));
    seg_layers_.push_back(nnunet_pointwise(shape.dimension, out, shape.classes));
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

std::vector<OfficialBlock> official_nnunet_blocks() {
  const auto make = [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
    const int64_t dims = dimensions(a);
    const auto extent = [&](const char* name, int64_t otherwise) {
      const auto found = a.find(name);
      if (found == a.end()) return cube(dims, otherwise);
      return found->is_number() ? cube(dims, found->get<int64_t>()) : found->get<Extent>();
    };
    return std::make_shared<BasicBlockD>(a.at("cin"), a.at("cout"), extent("kernel", 3), extent("stride", 1),
                                         argument(a, "se", false));
  };
  return {{"MIC-DKFZ/dynamic-network-architectures",
           {"BasicBlockD", "BasicBlockD(squeeze_excitation)"},
           make,
           nullptr,
           nnunet_name}};
}

}  // namespace mambaseg
