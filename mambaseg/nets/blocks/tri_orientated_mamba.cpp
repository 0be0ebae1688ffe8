#include "mambaseg/nets/blocks/tri_orientated_mamba.h"

#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/ops/selective_scan.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {
namespace {

namespace nn = torch::nn;

torch::Tensor to_index(const ScanOrder& order, torch::Device device) {
  return torch::tensor(std::vector<int64_t>(order.begin(), order.end())).to(device);
}

}  // namespace

TriOrientatedMamba::TriOrientatedMamba(const TriOrientatedMambaSettings& s)
    : settings_(s), channels_(s.expand * s.width), rank_((s.width + 15) / 16) {
  const int64_t C = channels_, N = s.states;
  in_proj_ = register_module("in_proj", nn::Linear(nn::LinearOptions(s.width, 2 * C).bias(s.bias)));
  const std::array<std::string, 3> suffixes{"", "_b", "_s"};
  for (size_t i = 0; i < suffixes.size(); ++i) {
    const std::string& suffix = suffixes[i];
    Branch& branch = branches_[i];
    branch.conv = register_module(
        "conv1d" + suffix,
        nn::Conv1d(nn::Conv1dOptions(C, C, s.conv_kernel).groups(C).padding(s.conv_kernel - 1)));
    branch.x_proj =
        register_module("x_proj" + suffix, nn::Linear(nn::LinearOptions(C, rank_ + 2 * N).bias(false)));
    branch.dt_proj = register_module("dt_proj" + suffix, nn::Linear(rank_, C));
    branch.A_log = register_parameter("A" + suffix + "_log", ssm_init::A_log(C, N));
    branch.D = register_parameter("D" + suffix, torch::ones({C}));
    torch::NoGradGuard no_grad;
    branch.dt_proj->weight.copy_(ssm_init::dt_weight({C, rank_}, rank_));
    branch.dt_proj->bias.copy_(ssm_init::dt_bias({C}));
  }
  out_proj_ = register_module("out_proj", nn::Linear(nn::LinearOptions(C, s.width).bias(s.bias)));
}

torch::Tensor TriOrientatedMamba::walk(const Branch& branch, const torch::Tensor& tokens) const {
  const int64_t B = tokens.size(0), L = tokens.size(1), C = channels_, N = settings_.states;
  // Padded on both sides; the first L outputs are the causal ones.
  const torch::Tensor convolved =
      nn::Conv1d(branch.conv)->forward(tokens.transpose(1, 2).contiguous()).narrow(2, 0, L);
  const torch::Tensor u = torch::silu(convolved).transpose(1, 2).contiguous();
  const torch::Tensor low = nn::Linear(branch.x_proj)->forward(u);
  SelectiveScanInputs inputs;
  inputs.u = u;
  inputs.delta = torch::matmul(low.narrow(2, 0, rank_), branch.dt_proj->weight.t()).view({B, L, 1, C});
  inputs.B = low.narrow(2, rank_, N).view({B, L, 1, 1, N});
  inputs.C = low.narrow(2, rank_ + N, N).view({B, L, 1, 1, N});
  inputs.A = -torch::exp(branch.A_log).unsqueeze(0);
  inputs.D = branch.D.unsqueeze(0);
  inputs.delta_bias = branch.dt_proj->bias.unsqueeze(0);
  return selective_scan(inputs);
}

torch::Tensor TriOrientatedMamba::forward(const torch::Tensor& x) {
  const torch::Tensor tokens = x.flatten(1, 3);
  const std::vector<ScanOrder> orders = tri_orientated_orders(tokens.size(1), settings_.slices);
  const torch::Tensor projected = in_proj_->forward(tokens);
  const torch::Tensor inner = projected.narrow(2, 0, channels_),
                      gate = projected.narrow(2, channels_, channels_);
  torch::Tensor sum;
  for (size_t i = 0; i < branches_.size(); ++i) {
    const torch::Tensor there = to_index(orders[i], x.device()),
                        back = to_index(inverse(orders[i]), x.device());
    const torch::Tensor y = walk(branches_[i], inner.index_select(1, there)).index_select(1, back);
    sum = sum.defined() ? sum + y : y;
  }
  return out_proj_->forward(sum * torch::silu(gate)).view_as(x);
}

}  // namespace mambaseg
