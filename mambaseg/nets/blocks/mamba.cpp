#include "mambaseg/nets/blocks/mamba.h"

#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/ops/selective_scan.h"

namespace mambaseg {
namespace nn = torch::nn;

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
  in_proj_ = register_module("in_proj", nn::Linear(nn::LinearOptions(s.width, 2 * C).bias(s.bias)));
  conv1d_ = register_module(
      "conv1d",
      nn::Conv1d(
          nn::Conv1dOptions(C, C, s.conv_kernel).groups(C).padding(s.conv_kernel - 1).bias(s.conv_bias)));
  x_proj_ = register_module("x_proj", nn::Linear(nn::LinearOptions(C, rank_ + 2 * N).bias(false)));
  dt_proj_ = register_module("dt_proj", nn::Linear(rank_, C));
  A_log_ = register_parameter("A_log", ssm_init::A_log(C, N));
  D_ = register_parameter("D", torch::ones({C}));
  out_proj_ = register_module("out_proj", nn::Linear(nn::LinearOptions(C, s.width).bias(s.bias)));
  torch::NoGradGuard no_grad;
  dt_proj_->weight.copy_(ssm_init::dt_weight({C, rank_}, rank_));
  dt_proj_->bias.copy_(ssm_init::dt_bias({C}));
}

torch::Tensor Mamba::causal_convolution(const torch::Tensor& x, bool backwards) {
  const int64_t length = x.size(1), pad = settings_.conv_kernel - 1;
  const torch::Tensor x_BCL = x.transpose(1, 2).contiguous();
  // Padded on both sides: the first L outputs look at earlier tokens, the last L at later ones.
  const torch::Tensor weight = backwards ? conv1d_->weight.flip(2) : conv1d_->weight;
  const torch::Tensor y = torch::conv1d(x_BCL, weight, conv1d_->bias, 1, pad, 1, channels_);
  return y.narrow(2, backwards ? pad : 0, length).transpose(1, 2);
}

torch::Tensor Mamba::forward(const torch::Tensor& x, bool backwards) {
  const int64_t B = x.size(0), L = x.size(1), C = channels_, N = settings_.states;
  const torch::Tensor projected = in_proj_->forward(x);
  SelectiveScanInputs inputs;
  inputs.u = torch::silu(causal_convolution(projected.narrow(2, 0, C), backwards)).contiguous();
  inputs.z = projected.narrow(2, C, C);
  const torch::Tensor low = x_proj_->forward(inputs.u);
  // The bias of dt_proj enters inside the scan, before the softplus.
  inputs.delta = torch::matmul(low.narrow(2, 0, rank_), dt_proj_->weight.t()).view({B, L, 1, C});
  inputs.B = low.narrow(2, rank_, N).view({B, L, 1, 1, N});
  inputs.C = low.narrow(2, rank_ + N, N).view({B, L, 1, 1, N});
  inputs.A = -torch::exp(A_log_).unsqueeze(0);
  inputs.D = D_.unsqueeze(0);
  inputs.delta_bias = dt_proj_->bias.unsqueeze(0);
  const ScanTables walk = backwards ? backward_walk(L, x.device()) : ScanTables();
  return out_proj_->forward(selective_scan(inputs, backwards ? &walk : nullptr));
}

}  // namespace mambaseg
