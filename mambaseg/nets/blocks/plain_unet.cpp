#include "mambaseg/nets/blocks/plain_unet.h"

namespace mambaseg {

/// Stages of ConvStack; each is a sequence of one there, so their names are stages.0.0, stages.1.0, ...
class PlainEncoder : public Module {
 public:
  explicit PlainEncoder(const PlainUNetSettings& s) {
    const std::vector<int64_t> counts = per_stage(s.convolutions, s.stages(), "convolutions");
    const auto list = register_module("stages", std::make_shared<torch::nn::Module>());
    int64_t in = s.in_channels;
    for (int64_t stage = 0; stage < s.stages(); ++stage) {
      const auto index = static_cast<size_t>(stage);
      stages_.push_back(std::make_shared<ConvStack>(counts[index], in, s.features[index], s.kernel(stage),
                                                    s.stride(stage)));
      in = s.features[index];
      list->register_module(std::to_string(stage), std::make_shared<torch::nn::Module>())
          ->register_module("0", stages_.back());
    }
  }

  /// The output of every stage, full resolution first.
  std::vector<torch::Tensor> forward(const torch::Tensor& x) {
    std::vector<torch::Tensor> skips;
    for (const auto& stage : stages_) skips.push_back(stage->forward(skips.empty() ? x : skips.back()));
    return skips;
  }

  const std::vector<std::shared_ptr<ConvStack>>& stages() const { return stages_; }

 private:
  std::vector<std::shared_ptr<ConvStack>> stages_;
};

PlainUNet::PlainUNet(const PlainUNetSettings& settings) : settings_(settings) {
  settings.check();
  encoder_ = register_module("encoder", std::make_shared<PlainEncoder>(settings));
  decoder_ =
      register_module("decoder", std::make_shared<NnunetDecoder>(settings, settings.decoder_convolutions));
}

std::vector<std::shared_ptr<ConvStack>> PlainUNet::encoder_stages() const { return encoder_->stages(); }

std::vector<std::shared_ptr<ConvStack>> PlainUNet::decoder_stages() const {
  std::vector<std::shared_ptr<ConvStack>> stages;
  for (const auto& stage : decoder_->stages()) stages.push_back(std::dynamic_pointer_cast<ConvStack>(stage));
  return stages;
}

std::vector<torch::Tensor> PlainUNet::scores(const torch::Tensor& x) {
  return decoder_->forward(encoder_->forward(x), wants_all_scales() && settings_.deep_supervision);
}

void read_plain_unet_arguments(const Json& arguments, PlainUNetSettings& settings) {
  read_shape(arguments, settings);
  settings.convolutions = stage_numbers(arguments, "n_conv_per_stage");
  settings.decoder_convolutions = stage_numbers(arguments, "n_conv_per_stage_decoder");
}

}  // namespace mambaseg
