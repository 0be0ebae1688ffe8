#include "mambaseg/nets/blocks/unetr_blocks.h"

#include "mambaseg/nets/blocks/official_blocks.h"

namespace mambaseg {
namespace {

std::shared_ptr<MonaiConvolution> without_bias(int64_t dims, int64_t in, int64_t out, int64_t edge) {
  return std::make_shared<MonaiConvolution>(conv(dims, in, out, edge, {.bias = false}));
}

/// Transposed convolution onto a grid `scale` times as large.
std::shared_ptr<MonaiConvolution> growing(int64_t dims, int64_t in, int64_t out, int64_t scale = 2) {
  return std::make_shared<MonaiConvolution>(
      std::make_shared<TransposedConvolution>(in, out, cube(dims, scale), TransposedSettings{.bias = false}));
}

}  // namespace

UnetrResBlock::UnetrResBlock(int64_t dims, int64_t in, int64_t out)
    : conv1_(register_module("conv1", without_bias(dims, in, out, 3))),
      conv2_(register_module("conv2", without_bias(dims, out, out, 3))) {
  if (in != out) conv3_ = register_module("conv3", without_bias(dims, in, out, 1));
}

torch::Tensor UnetrResBlock::forward(const torch::Tensor& x) {
  const torch::Tensor y = norm_.run(conv1_->forward(x), {Activation::leaky_relu, {}});
  const torch::Tensor residual = conv3_ ? norm_.run(conv3_->forward(x), {}) : x;
  return norm_.run(conv2_->forward(y), {Activation::leaky_relu, residual});
}

UnetrUpBlock::UnetrUpBlock(int64_t dims, int64_t in, int64_t out, int64_t scale)
    : grow_(register_module("transp_conv", growing(dims, in, out, scale))),
      block_(register_module("conv_block", std::make_shared<UnetrResBlock>(dims, 2 * out, out))) {}

torch::Tensor UnetrUpBlock::forward(const torch::Tensor& x, const torch::Tensor& skip) {
  return block_->forward(torch::cat({grow_->forward(x), skip}, 1));
}

UnetrPrUpBlock::UnetrPrUpBlock(int64_t dims, int64_t in, int64_t out, int64_t layers, bool refines)
    : grow_(register_module("transp_conv_init", growing(dims, in, out))) {
  for (int64_t i = 0; i < layers; ++i) {
    std::shared_ptr<Layer> block = growing(dims, out, out);
    if (refines) block = sequence({block, std::make_shared<UnetrResBlock>(dims, out, out)});
    blocks_.push_back(block);
  }
  register_list(*this, "blocks", blocks_);
}

torch::Tensor UnetrPrUpBlock::forward(const torch::Tensor& x) {
  torch::Tensor y = grow_->forward(x);
  for (const auto& block : blocks_) y = block->forward(y);
  return y;
}

std::shared_ptr<Layer> unetr_head(int64_t dims, int64_t in, int64_t classes) {
  return std::make_shared<MonaiConvolution>(std::make_shared<MonaiConvolution>(conv(dims, in, classes, 1)));
}

std::vector<OfficialBlock> official_unetr_blocks() {
  using Module = std::shared_ptr<torch::nn::Module>;
  const auto up = [](torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
    return dynamic_cast<UnetrUpBlock&>(module).forward(inputs.at("x"), inputs.at("skip"));
  };
  return {
      {"ge-xing/SegMamba",
       {"UnetrBasicBlock(res_block)"},
       [](const Json& a) -> Module {
         return std::make_shared<UnetrBasicBlock>(3, a.at("cin"), a.at("cout"));
       }},
      {"ge-xing/SegMamba",
       {"UnetrUpBlock(res_block)"},
       [](const Json& a) -> Module { return std::make_shared<UnetrUpBlock>(3, a.at("cin"), a.at("cout")); },
       up}};
}

}  // namespace mambaseg
