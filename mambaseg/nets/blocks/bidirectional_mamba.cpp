#include "mambaseg/nets/blocks/bidirectional_mamba.h"

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/nets/layers/undecayed.h"
#include "mambaseg/ops/gate.h"

namespace mambaseg {

BidirectionalMamba::BidirectionalMamba(const BidirectionalMambaSettings& s)
    : channels_(s.expand * s.width), share_(s.mean && !s.shared ? 0.5 : 1), walk_(s.dims) {
  in_proj_ = register_module("in_proj", std::make_shared<Linear>(s.width, 2 * channels_, s.bias));
  branches_.emplace_back(*this, s);
  if (s.shared && !branches_[0].is_twin())
    A_b_log_ = without_decay(register_parameter("A_b_log", ssm_init::A_log(channels_, s.states)));
  if (!s.shared) branches_.emplace_back(*this, s, "_b");
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(channels_, s.width, s.bias));
  if (s.layer_scale > 0) gamma_ = register_parameter("gamma", torch::full({s.width}, s.layer_scale));
}

torch::Tensor BidirectionalMamba::both(const torch::Tensor& tokens) {
  const auto there = walk_.over(tokens), back = walk_.over(tokens, /*backwards=*/true);
  if (branches_.size() == 2)
    return branches_[0].follow(tokens, there.get()) + branches_[1].follow(tokens, back.get());
  if (branches_[0].is_twin()) return branches_[0].follow(tokens, nullptr);  // convolutions have no way back
  SelectiveScanInputs inputs = branches_[0].operands(tokens.flatten(1, -2), there.get());
  const torch::Tensor forwards = selective_scan(inputs, there.get());
  inputs.A = -torch::exp(A_b_log_.to(inputs.A.scalar_type())).unsqueeze(0);
  return (forwards + selective_scan(inputs, back.get())).view_as(tokens);
}

torch::Tensor BidirectionalMamba::forward(const torch::Tensor& x) {
  const torch::Tensor projected = in_proj_->forward(x);
  const std::vector<torch::Tensor> halves = projected.chunk(2, -1);
  torch::Tensor y = gated(both(halves[0]), halves[1], Activation::silu);
  if (share_ != 1) y = y * share_;
  const torch::Tensor out = out_proj_->forward(y.to(projected.scalar_type()));
  return gamma_.defined() ? (gamma_ * out).to(out.scalar_type()) : out;
}

std::vector<OfficialBlock> official_bidirectional_mamba() {
  const auto make = [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
    BidirectionalMambaSettings s;
    static_cast<MambaSettings&>(s) = read_mamba_arguments(a);
    s.shared = argument<std::string>(a, "bimamba_type", "v2") == "v1";
    s.mean = argument(a, "if_divide_out", false);
    s.layer_scale = argument(a, "init_layer_scale", 0.0);
    return std::make_shared<BidirectionalMamba>(s);
  };
  return {{"hustvl/Vim", {"Mamba (Vision Mamba, bimamba)"}, make},
          {"CC0117/MambaVesselNet", {"Mamba"}, make}};
}

}  // namespace mambaseg
