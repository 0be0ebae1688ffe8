#include "mambaseg/nets/blocks/scan_u.h"

#include "mambaseg/nets/blocks/patch2d.h"

namespace mambaseg {

using torch::Tensor;

ScanU::ScanU(const ScanUParts& s) : read_(s.read) {
  const auto encoder = register_module("vssm_encoder", std::make_shared<torch::nn::Module>());
  const auto decoder = register_module("vssm_decoder", std::make_shared<torch::nn::Module>());
  if (read_) encoder->register_module("rebnconvin", read_);
  embed_ =
      encoder->register_module("patch_embed", std::make_shared<PatchEmbed2d>(read_ ? s.out : s.in, s.mid, 1));
  std::vector<std::shared_ptr<Convolution>> heads;
  for (int64_t level = 0; level < s.levels; ++level) {
    down_.push_back(s.scans(level, false));
    if (level < s.halvings) merging_.push_back(std::make_shared<GridMerging>(scan_u_merging(s.mid, s.mid)));
  }
  for (int64_t level = s.levels - 2; level >= 0; --level) {
    expanding_.push_back(level < s.halvings ? std::make_shared<GridExpanding>(s.mid, s.mid) : nullptr);
    join_.push_back(std::make_shared<Linear>(2 * s.mid, s.mid));
    up_.push_back(s.scans(level, true));
    heads.push_back(s.unused ? conv(2, s.mid, s.out, 1) : nullptr);
  }
  expanding_.push_back(s.projects_last ? std::make_shared<GridExpanding>(s.mid, 0, Extent{1, 1}) : nullptr);
  heads.push_back(head_ = conv(2, s.mid, s.out, 1));
  register_list(*encoder, "layers", down_);
  register_list(*encoder, "downsamples", merging_);
  register_list(*decoder, "stages", up_);
  register_list(*decoder, "expand_layers", expanding_);
  register_list(*decoder, "seg_layers", heads);
  register_list(*decoder, "concat_back_dim", join_);
}

Tensor ScanU::forward(const Tensor& input) {
  const auto last = [](const Tensor& x) { return x.permute({0, 2, 3, 1}); };
  const auto first = [](const Tensor& x) { return x.permute({0, 3, 1, 2}); };
  const Tensor whole = read_ ? read_->forward(input) : Tensor();
  std::vector<Tensor> skips;  // channels last
  Tensor x = embed_->forward(read_ ? whole : input);
  for (size_t level = 0; level < down_.size(); ++level) {
    skips.push_back(down_[level]->forward(x));
    x = level < merging_.size() ? last(merging_[level]->forward(first(skips.back()))) : skips.back();
  }
  for (size_t i = 0; i < up_.size(); ++i) {
    if (expanding_[i]) x = last(expanding_[i]->forward(first(x)));
    x = up_[i]->forward(join_[i]->forward(torch::cat({x, skips[up_.size() - 1 - i]}, -1)));
  }
  x = first(x);
  if (expanding_.back()) x = expanding_.back()->forward(x);
  return head_->run(x, {Activation::none, whole});
}

GridMerging::Settings scan_u_merging(int64_t in, int64_t out) {
  return {in, out, {2, 2}, /*columns_first=*/true, /*pads=*/false};
}

std::vector<double> scan_u_falling_drop_path(int64_t levels, int64_t blocks, double first) {
  std::vector<double> chances;
  for (int64_t level = 0; level + 1 < levels; ++level)
    chances.push_back(first * (1 - static_cast<double>(level * blocks) /
                                       static_cast<double>(std::max<int64_t>(2 * levels - 3, 1))));
  return chances;
}

}  // namespace mambaseg
