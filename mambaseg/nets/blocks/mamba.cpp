#include "mambaseg/nets/blocks/mamba.h"

#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/scan_projection.h"
#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/nets/layers/undecayed.h"
#include "mambaseg/ops/depthwise_conv.h"

namespace mambaseg {
namespace {

/// One walk over L tokens in raster order, from the end.
ScanTables backward_walk(int64_t length, torch::Device device) {
  ScanTables tables;
  tables.index_TL = torch::arange(length, torch::dtype(torch::kInt32).device(device)).unsqueeze(0);
  tables.table = {0};
  tables.backwards = {1};
  return tables;
}

}  // namespace

Mamba::Mamba(const MambaSettings& s)
    : settings_(s), channels_(s.expand * s.width), rank_(s.dt_rank > 0 ? s.dt_rank : (s.width + 15) / 16) {
  const int64_t C = channels_, N = s.states;
  in_proj_ = register_module("in_proj", std::make_shared<Linear>(s.width, 2 * C, s.bias));
  conv1d_ = register_module(
      "conv1d", depthwise(1, C, s.conv_kernel, {.padding = {s.conv_kernel - 1}, .bias = s.conv_bias}));
  x_proj_ = register_module("x_proj", std::make_shared<Linear>(C, rank_ + 2 * N, false));
  dt_proj_ = register_module("dt_proj", std::make_shared<Linear>(rank_, C));
  A_log_ = without_decay(register_parameter("A_log", ssm_init::A_log(C, N)));
  D_ = without_decay(register_parameter("D", torch::ones({C})));
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(C, s.width, s.bias));
  torch::NoGradGuard no_grad;
  dt_proj_->weight.copy_(ssm_init::dt_weight({C, rank_}, rank_));
  dt_proj_->bias.copy_(ssm_init::dt_bias({C}));
}

torch::Tensor Mamba::read(const torch::Tensor& x, bool backwards) {
  const torch::Tensor projected = in_proj_->forward(x);
  const ScanTables walk = backwards ? backward_walk(x.size(1), x.device()) : ScanTables();
  const torch::Tensor order_L = backwards ? walk.order_L(0) : torch::Tensor();
  const torch::Tensor convolved = depthwise_conv(projected.narrow(2, 0, channels_), conv1d_->weight,
                                                 conv1d_->bias, {{}, true, true, order_L});
  SelectiveScanInputs inputs =
      project_scan_inputs(finish(convolved, {Activation::silu, {}}),
                          {x_proj_->weight.unsqueeze(0), dt_proj_->weight.unsqueeze(0),
                           dt_proj_->bias.unsqueeze(0), A_log_.unsqueeze(0), D_.unsqueeze(0), packed_});
  inputs.z = projected.narrow(2, channels_, channels_);
  const torch::Tensor y = selective_scan(inputs, backwards ? &walk : nullptr);
  return out_proj_->forward(y.to(projected.scalar_type()));
}

std::vector<OfficialBlock> official_mamba() {
  return {{"state-spaces/mamba",
           {"Mamba (mamba_simple)"},
           [](const Json& a) -> std::shared_ptr<torch::nn::Module> {
             MambaSettings s;
             s.width = a.at("d_model");
             s.states = argument(a, "d_state", s.states);
             s.conv_kernel = argument(a, "d_conv", s.conv_kernel);
             s.expand = argument(a, "expand", s.expand);
             if (a.contains("dt_rank") && a["dt_rank"].is_number()) s.dt_rank = a["dt_rank"];  // else "auto"
             s.bias = argument(a, "bias", s.bias);
             s.conv_bias = argument(a, "conv_bias", s.conv_bias);
             return std::make_shared<Mamba>(s);
           }}};
}

}  // namespace mambaseg
