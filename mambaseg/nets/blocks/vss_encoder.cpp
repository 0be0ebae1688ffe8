#include "mambaseg/nets/blocks/vss_encoder.h"

#include <numeric>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/official_blocks.h"

namespace mambaseg {

VssStage::VssStage(int64_t width, int64_t states, const std::vector<double>& drop_path) : width_(width) {
  for (const double chance : drop_path)
    blocks_.push_back(std::make_shared<VssBlock2d>(Ss2dSettings{.width = width, .states = states}, chance));
  register_list(*this, "blocks", blocks_);
}

void VssStage::halve_behind() {
  behind_ = register_module("downsample", std::make_shared<PatchMerging2d>(width_));
}

void VssStage::double_before() {
  before_ = register_module("upsample", std::make_shared<PatchExpand2d>(2 * width_, 2));
}

void VssStage::double_behind() {
  behind_ = register_module("upsample", std::make_shared<PatchExpand2d>(width_, 2));
}

torch::Tensor VssStage::forward(const torch::Tensor& x) {
  torch::Tensor y = before_ ? before_->forward(x) : x;
  for (const auto& block : blocks_) y = block->forward(y);
  return behind_ ? behind_->forward(y) : y;
}

void VssEncoderSettings::check() const {
  if (widths.empty() || depths.size() != widths.size())
    throw UsageError(concat("widths and depths: expected one number a scale each, got ", widths.size(),
                            " and ", depths.size()));
  for (size_t i = 1; i < widths.size(); ++i)
    if (widths[i] != 2 * widths[i - 1])
      throw UsageError(concat("widths: expected each to be twice the one before, got ", widths[i], " after ",
                              widths[i - 1]));
}

VssEncoder::VssEncoder(const VssEncoderSettings& s) : grey_as_three_(s.grey_as_three) {
  s.check();
  const int64_t in = grey_as_three_ && s.in_channels == 1 ? 3 : s.in_channels;
  patch_embed_ = register_module("patch_embed", std::make_shared<PatchEmbed2d>(in, s.widths[0], s.patch));
  const int64_t blocks = std::accumulate(s.depths.begin(), s.depths.end(), int64_t{0});
  const auto chances = by_scale(rising_drop_path(blocks, s.drop_path), s.depths);
  for (size_t i = 0; i < s.widths.size(); ++i) {
    layers_.push_back(std::make_shared<VssStage>(s.widths[i], s.states, chances[i]));
    if (i + 1 == s.widths.size()) break;
    if (s.merging_is_apart)
      merging_.push_back(std::make_shared<PatchMerging2d>(s.widths[i]));
    else
      layers_[i]->halve_behind();
  }
  register_list(*this, "layers", layers_);
  if (s.merging_is_apart) register_list(*this, "downsamples", merging_);
}

torch::Tensor VssEncoder::embedded(const torch::Tensor& x) {
  return patch_embed_->forward(grey_as_three_ && x.size(1) == 1 ? x.repeat({1, 3, 1, 1}) : x);
}

std::vector<torch::Tensor> VssEncoder::entering(const torch::Tensor& x, bool last) {
  std::vector<torch::Tensor> out{embedded(x)};
  for (size_t i = 0; i + (last ? 0 : 1) < layers_.size(); ++i) {
    const torch::Tensor y = layers_[i]->forward(out.back());
    out.push_back(i < merging_.size() ? merging_[i]->forward(y) : y);
  }
  return out;
}

std::vector<torch::Tensor> VssEncoder::leaving(const torch::Tensor& x) {
  torch::Tensor y = embedded(x);
  std::vector<torch::Tensor> out;
  for (size_t i = 0; i < layers_.size(); ++i) {
    out.push_back(layers_[i]->forward(y));
    if (i < merging_.size()) y = merging_[i]->forward(out.back());
  }
  return out;
}

std::vector<std::vector<double>> by_scale(const std::vector<double>& chances,
                                          const std::vector<int64_t>& depths) {
  std::vector<std::vector<double>> out;
  auto from = chances.begin();
  for (const int64_t depth : depths) {
    out.emplace_back(from, from + depth);
    from += depth;
  }
  return out;
}

void start_as_vmamba(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (const auto& part : module.modules(/*include_self=*/false)) {
    auto* linear = dynamic_cast<Linear*>(part.get());
    if (linear == nullptr) continue;
    linear->weight.normal_(0, 0.02);
    if (linear->bias.defined()) linear->bias.zero_();
  }
}

namespace {

/// Swin-UMamba's class gives its input and what leaves each scale, channels first.
class OfficialVssmEncoder : public VssEncoder, public GivesSeveral {
 public:
  using VssEncoder::VssEncoder;
  std::vector<torch::Tensor> outputs(const std::map<std::string, torch::Tensor>& inputs) override {
    std::vector<torch::Tensor> out{inputs.at("x")};
    for (const torch::Tensor& y : leaving(out[0])) out.push_back(y.permute({0, 3, 1, 2}));
    return out;
  }
};

}  // namespace

std::vector<OfficialBlock> official_vss_encoder() {
  return {{"JiarunLiu/Swin-UMamba", {"VSSMEncoder"}, [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
             VssEncoderSettings s;
             s.in_channels = argument<int64_t>(a, "in_chans", 3);
             s.patch = argument<int64_t>(a, "patch_size", 4);
             s.widths = argument(a, "dims", s.widths);
             s.depths = argument<std::vector<int64_t>>(a, "depths", {2, 2, 9, 2});
             s.states = argument<int64_t>(a, "d_state", 16);
             s.merging_is_apart = true;
             return std::make_shared<OfficialVssmEncoder>(s);
           }}};
}

}  // namespace mambaseg
