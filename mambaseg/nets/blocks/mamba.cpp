#include "mambaseg/nets/blocks/mamba.h"

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/scan_projection.h"
#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/nets/layers/undecayed.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/ops/gate.h"

namespace mambaseg {

MambaBranch::MambaBranch(torch::nn::Module& owner, const MambaSettings& s, const std::string& suffix) {
  const int64_t C = s.expand * s.width, N = s.states, rank = s.dt_rank > 0 ? s.dt_rank : (s.width + 15) / 16;
  conv1d_ = owner.register_module(
      "conv1d" + suffix,
      depthwise(1, C, s.conv_kernel, {.padding = {s.conv_kernel - 1}, .bias = s.conv_bias}));
  twin_ = scan_twin(owner, "twin" + suffix, {s.dims, C, rank, N});
  if (twin_) return;
  x_proj_ = owner.register_module("x_proj" + suffix, std::make_shared<Linear>(C, rank + 2 * N, false));
  dt_proj_ = owner.register_module("dt_proj" + suffix, std::make_shared<Linear>(rank, C));
  A_log_ = without_decay(owner.register_parameter("A" + suffix + "_log", ssm_init::A_log(C, N)));
  D_ = without_decay(owner.register_parameter("D" + suffix, torch::ones({C})));
  const torch::NoGradGuard no_grad;
  dt_proj_->weight.copy_(ssm_init::dt_weight({C, rank}, rank));
  dt_proj_->bias.copy_(ssm_init::dt_bias({C}));
}

torch::Tensor MambaBranch::convolved(const torch::Tensor& tokens, const ScanTables* walk) const {
  const torch::Tensor order_L = walk != nullptr ? walk->order_L(0) : torch::Tensor();
  return depthwise_conv(tokens, conv1d_->weight, conv1d_->bias, {{}, true, true, order_L, Activation::silu});
}

SelectiveScanInputs MambaBranch::operands(const torch::Tensor& tokens, const ScanTables* walk) const {
  return project_scan_inputs(convolved(tokens, walk),
                             {x_proj_->weight.unsqueeze(0), dt_proj_->weight.unsqueeze(0),
                              dt_proj_->bias.unsqueeze(0), A_log_.unsqueeze(0), D_.unsqueeze(0), packed_});
}

torch::Tensor MambaBranch::follow(const torch::Tensor& tokens, const ScanTables* walk,
                                  const torch::Tensor& gate) const {
  const torch::Tensor tokens_BLC = tokens.flatten(1, -2);
  if (twin_) {
    const torch::Tensor y = twin_->forward(convolved(tokens_BLC, walk).view_as(tokens));
    return gate.defined() ? gated(y, gate, Activation::silu) : y;
  }
  SelectiveScanInputs inputs = operands(tokens_BLC, walk);
  if (gate.defined()) inputs.z = gate.flatten(1, -2);
  return selective_scan(inputs, walk).view_as(tokens);
}

Mamba::Mamba(const MambaSettings& s)
    : channels_(s.expand * s.width),
      in_proj_(register_module("in_proj", std::make_shared<Linear>(s.width, 2 * channels_, s.bias))),
      out_proj_(std::make_shared<Linear>(channels_, s.width, s.bias)),
      branch_(*this, s),
      walk_(s.dims) {
  register_module("out_proj", out_proj_);
}

torch::Tensor Mamba::read(const torch::Tensor& x, bool backwards) {
  const std::vector<torch::Tensor> halves = in_proj_->forward(x).chunk(2, -1);
  const auto walk = walk_.over(x, backwards);
  const torch::Tensor y = branch_.follow(halves[0], walk.get(), halves[1]);
  return out_proj_->forward(y.to(halves[0].scalar_type()));
}

MambaSettings read_mamba_arguments(const Json& a) {
  MambaSettings s;
  s.width = a.at("d_model");
  s.states = argument(a, "d_state", s.states);
  s.conv_kernel = argument(a, "d_conv", s.conv_kernel);
  s.expand = argument(a, "expand", s.expand);
  if (a.contains("dt_rank") && a["dt_rank"].is_number()) s.dt_rank = a["dt_rank"];  // else "auto"
  s.bias = argument(a, "bias", s.bias);
  s.conv_bias = argument(a, "conv_bias", s.conv_bias);
  return s;
}

std::vector<OfficialBlock> official_mamba() {
  return {{"state-spaces/mamba",
           {"Mamba (mamba_simple)"},
           [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
             return std::make_shared<Mamba>(read_mamba_arguments(a));
           }}};
}

}  // namespace mambaseg
