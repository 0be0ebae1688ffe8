#include "mambaseg/nets/blocks/tri_orientated_mamba.h"

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/scan_projection.h"
#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/nets/layers/undecayed.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {

TriOrientatedMamba::TriOrientatedMamba(const TriOrientatedMambaSettings& s)
    : settings_(s), channels_(s.expand * s.width), rank_((s.width + 15) / 16) {
  const int64_t C = channels_, N = s.states;
  in_proj_ = register_module("in_proj", std::make_shared<Linear>(s.width, 2 * C, s.bias));
  const std::array<std::string, 3> suffixes{"", "_b", "_s"};
  for (size_t i = 0; i < suffixes.size(); ++i) {
    const std::string& suffix = suffixes[i];
    Branch& branch = branches_[i];
    branch.conv =
        register_module("conv1d" + suffix, depthwise(1, C, s.conv_kernel, {.padding = {s.conv_kernel - 1}}));
    branch.x_proj = register_module("x_proj" + suffix, std::make_shared<Linear>(C, rank_ + 2 * N, false));
    branch.dt_proj = register_module("dt_proj" + suffix, std::make_shared<Linear>(rank_, C));
    branch.A_log = without_decay(register_parameter("A" + suffix + "_log", ssm_init::A_log(C, N)));
    branch.D = without_decay(register_parameter("D" + suffix, torch::ones({C})));
    torch::NoGradGuard no_grad;
    branch.dt_proj->weight.copy_(ssm_init::dt_weight({C, rank_}, rank_));
    branch.dt_proj->bias.copy_(ssm_init::dt_bias({C}));
  }
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(C, s.width, s.bias));
}

torch::Tensor TriOrientatedMamba::follow(const ScanTables& walk, const Branch& branch,
                                         const torch::Tensor& tokens) const {
  const torch::Tensor convolved =
      depthwise_conv(tokens, branch.conv->weight, branch.conv->bias, {{}, true, true, walk.order_L(0)});
  const SelectiveScanInputs inputs = project_scan_inputs(
      torch::silu(convolved),
      {branch.x_proj->weight.unsqueeze(0), branch.dt_proj->weight.unsqueeze(0),
       branch.dt_proj->bias.unsqueeze(0), branch.A_log.unsqueeze(0), branch.D.unsqueeze(0), branch.packed});
  return selective_scan(inputs, &walk);
}

torch::Tensor TriOrientatedMamba::forward(const torch::Tensor& x) {
  const torch::Tensor projected = in_proj_->forward(x.flatten(1, 3));
  const torch::Tensor tokens = projected.narrow(2, 0, channels_),
                      gate = projected.narrow(2, channels_, channels_);
  const auto walks = walks_.get({x.size(1), x.size(2), x.size(3)}, x.device(), [&] {
    return make_scan_tables(tri_orientated_orders(tokens.size(1), settings_.slices), x.device());
  });
  torch::Tensor sum;
  for (size_t i = 0; i < branches_.size(); ++i) {
    const torch::Tensor y = follow(walks->only(static_cast<int64_t>(i)), branches_[i], tokens);
    sum = sum.defined() ? sum + y : y;
  }
  return out_proj_->forward(sum * torch::silu(gate)).view_as(x);
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
