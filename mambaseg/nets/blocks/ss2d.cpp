#include "mambaseg/nets/blocks/ss2d.h"

#include <cmath>

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/scan_projection.h"
#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/nets/blocks/undecayed.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {
namespace {

namespace nn = torch::nn;

constexpr int64_t kWalks = 4;

std::vector<ScanOrder> orders(const std::string& walks, const TokenGrid& grid) {
  if (walks == "cross") return cross_orders(grid);
  if (walks == "mirrored") return mirrored_row_orders(grid);
  throw UsageError("walks: expected cross or mirrored, got " + walks);
}

}  // namespace

SS2D::SS2D(const Ss2dSettings& settings)
    : settings_(settings),
      channels_(static_cast<int64_t>(settings.expand * static_cast<double>(settings.width))),
      rank_(settings.dt_rank > 0 ? settings.dt_rank : (settings.width + 15) / 16) {
  require(settings.conv_kernel % 2 == 1, "mixer: expected an odd convolution kernel, got ",
          settings.conv_kernel);
  const int64_t C = channels_, K = kWalks, N = settings.states;
  in_proj_ = register_module("in_proj", Linear(nn::LinearOptions(settings.width, 2 * C).bias(settings.bias)));
  conv2d_ = register_module("conv2d", nn::Conv2d(nn::Conv2dOptions(C, C, settings.conv_kernel)
                                                     .padding(settings.conv_kernel / 2)
                                                     .groups(C)
                                                     .bias(settings.conv_bias)));
  const double bound = 1 / std::sqrt(static_cast<double>(C));
  x_proj_weight_ =
      register_parameter("x_proj_weight", torch::empty({K, rank_ + 2 * N, C}).uniform_(-bound, bound));
  dt_projs_weight_ = register_parameter("dt_projs_weight", ssm_init::dt_weight({K, C, rank_}, rank_));
  dt_projs_bias_ = register_parameter("dt_projs_bias", ssm_init::dt_bias({K, C}));
  A_logs_ = without_decay(register_parameter("A_logs", ssm_init::A_log(K * C, N)));
  Ds_ = without_decay(register_parameter("Ds", torch::ones({K * C})));
  out_norm_ = register_module("out_norm", LayerNorm(nn::LayerNormOptions({C})));
  out_proj_ = register_module("out_proj", Linear(nn::LinearOptions(C, settings.width).bias(settings.bias)));
  dropout_ = register_module("dropout", nn::Dropout(settings.dropout));
}

torch::Tensor SS2D::forward(const torch::Tensor& x) {
  const int64_t C = channels_, K = kWalks, N = settings_.states, edge = settings_.conv_kernel;
  const std::vector<torch::Tensor> halves = in_proj_->forward(x).chunk(2, -1);
  const torch::Tensor convolved =
      depthwise_conv(halves[0], conv2d_->weight, conv2d_->bias, {{edge / 2, edge / 2}, false, true, {}});
  const torch::Tensor tokens = torch::silu(convolved).flatten(1, 2);
  const TokenGrid grid{1, x.size(1), x.size(2)};
  const auto walks = walks_.get(grid, x.device(),
                                [&] { return make_scan_tables(orders(settings_.walks, grid), x.device()); });
  const ScanWeights weights{x_proj_weight_,          dt_projs_weight_, dt_projs_bias_,
                            A_logs_.view({K, C, N}), Ds_.view({K, C}), packed_};
  const torch::Tensor scanned =
      selective_scan(project_scan_inputs(tokens, weights), walks.get()).to(x.scalar_type());
  const torch::Tensor y = out_norm_->forward(scanned).view_as(halves[1]) * torch::silu(halves[1]);
  return dropout_->forward(out_proj_->forward(y));
}

VssBlock2d::VssBlock2d(const Ss2dSettings& mixer, double drop_path, double norm_eps)
    : drop_path_(drop_path),
      ln_1_(register_module("ln_1", LayerNorm(nn::LayerNormOptions({mixer.width}).eps(norm_eps)))),
      mixer_(register_module("self_attention", std::make_shared<SS2D>(mixer))) {}

torch::Tensor VssBlock2d::forward(const torch::Tensor& x) {
  const torch::Tensor branch = mixer_->forward(ln_1_->forward(x));
  if (!is_training() || drop_path_ == 0) return x + branch;
  const double keep = 1 - drop_path_;
  const torch::Tensor kept = torch::empty({x.size(0), 1, 1, 1}, x.options()).bernoulli_(keep);
  return x + branch * (keep > 0 ? kept / keep : kept);
}

std::vector<double> rising_drop_path(int64_t count, double last) {
  std::vector<double> chances(static_cast<size_t>(count), 0.0);
  for (int64_t i = 1; i < count; ++i)
    chances[static_cast<size_t>(i)] = last * static_cast<double>(i) / static_cast<double>(count - 1);
  return chances;
}

}  // namespace mambaseg
