#include "mambaseg/nets/blocks/tri_orientated_mamba.h"

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/ops/gate.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {

TriOrientatedMamba::TriOrientatedMamba(const TriOrientatedMambaSettings& s)
    : slices_(s.slices), channels_(s.expand * s.width), chosen_(chosen_orders(3)) {
  const MambaSettings branch{
      .width = s.width, .states = s.states, .conv_kernel = s.conv_kernel, .expand = s.expand, .dims = 3};
  in_proj_ = register_module("in_proj", std::make_shared<Linear>(s.width, 2 * channels_, s.bias));
  const std::vector<std::string> official{"", "_b", "_s"};
  const size_t walks = chosen_ ? static_cast<size_t>(chosen_->walks()) : official.size();
  for (size_t i = 0; i < walks; ++i)
    branches_.emplace_back(*this, branch, i < official.size() ? official[i] : "_" + std::to_string(i));
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(channels_, s.width, s.bias));
}

std::vector<ScanOrder> TriOrientatedMamba::orders(TokenGrid grid) const {
  if (chosen_) return chosen_->over(grid);
  return tri_orientated_orders(token_count(grid), slices_ > 0 ? slices_ : grid[0]);
}

torch::Tensor TriOrientatedMamba::forward(const torch::Tensor& x) {
  const torch::Tensor projected = in_proj_->forward(x);
  const std::vector<torch::Tensor> halves = projected.chunk(2, 4);
  const TokenGrid grid{x.size(1), x.size(2), x.size(3)};
  const auto walks = walks_.get(grid, x.device(), [&] { return make_scan_tables(orders(grid), x.device()); });
  torch::Tensor sum;
  for (size_t i = 0; i < branches_.size(); ++i) {
    const ScanTables walk = walks->only(static_cast<int64_t>(i));
    const torch::Tensor y = branches_[i].follow(halves[0], &walk);
    sum = sum.defined() ? sum + y : y;
  }
  return out_proj_->forward(gated(sum, halves[1], Activation::silu).to(projected.scalar_type()));
}

std::vector<OfficialBlock> official_tri_orientated_mamba() {
  const auto make = [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
    TriOrientatedMambaSettings s;
    s.width = a.at("d_model");
    s.states = argument<int64_t>(a, "d_state", 16);
    s.conv_kernel = argument<int64_t>(a, "d_conv", 4);
    s.expand = argument<int64_t>(a, "expand", 2);
    s.slices = argument<int64_t>(a, "nslices", 5);
    s.bias = argument(a, "bias", false);
    return std::make_shared<TriOrientatedMamba>(s);
  };
  // The official class takes a sequence (B, L, C).
  const auto run = [](torch::nn::Module& module, const std::map<std::string, torch::Tensor>& inputs) {
    return dynamic_cast<Layer&>(module).forward(inputs.at("x").unsqueeze(1).unsqueeze(1)).flatten(1, 3);
  };
  return {{"ge-xing/SegMamba", {"Mamba(bimamba_type=v3)"}, make, run}};
}

}  // namespace mambaseg
