#include "mambaseg/nets/blocks/scan_projection.h"

#include <cmath>

#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/nets/layers/undecayed.h"

namespace mambaseg {
namespace {

torch::Tensor single(const torch::Tensor& t) {
  return t.scalar_type() == torch::kDouble ? t : t.to(torch::kFloat);
}

/// For each direction k: low (B, L, K, R) times weight[k]^T (C, R) -> (B, L, K, C).
torch::Tensor per_direction(const torch::Tensor& low, const torch::Tensor& weight) {
  if (torch::GradMode::is_enabled()) return torch::einsum("blkr,kcr->blkc", {low, weight});
  // Written in place: the einsum would hold this largest tensor of the block twice.
  const auto sizes = low.sizes();
  torch::Tensor out = torch::empty({sizes[0] * sizes[1], sizes[2], weight.size(1)}, low.options());
  const torch::Tensor rows = low.reshape({sizes[0] * sizes[1], sizes[2], sizes[3]});
  for (int64_t k = 0; k < sizes[2]; ++k) {
    torch::Tensor slice = out.select(1, k);
    torch::mm_out(slice, rows.select(1, k), weight.select(0, k).t());
  }
  return out.view({sizes[0], sizes[1], sizes[2], weight.size(1)});
}

}  // namespace

ScanWeights ScanWeights::first(int64_t directions) const {
  const auto of_used = [&](const torch::Tensor& t) { return t.slice(0, 0, directions); };
  return {of_used(x_proj), of_used(dt_proj), of_used(dt_bias), of_used(A_log), of_used(D), packed};
}

ScanParameters::ScanParameters(torch::nn::Module& module, int64_t channels, int64_t rank, int64_t states,
                               int64_t directions) {
  const int64_t C = channels, K = directions, N = states;
  const double bound = 1 / std::sqrt(static_cast<double>(C));
  x_proj_weight_ =
      module.register_parameter("x_proj_weight", torch::empty({K, rank + 2 * N, C}).uniform_(-bound, bound));
  dt_projs_weight_ = module.register_parameter("dt_projs_weight", ssm_init::dt_weight({K, C, rank}, rank));
  dt_projs_bias_ = module.register_parameter("dt_projs_bias", ssm_init::dt_bias({K, C}));
  A_logs_ = without_decay(module.register_parameter("A_logs", ssm_init::A_log(K * C, N)));
  Ds_ = without_decay(module.register_parameter("Ds", torch::ones({K * C})));
  packed_each_ = std::vector<PackedWeights>(static_cast<size_t>(K));
}

ScanWeights ScanParameters::weights() const {
  const int64_t K = dt_projs_bias_.size(0), C = dt_projs_bias_.size(1);
  return {x_proj_weight_,           dt_projs_weight_, dt_projs_bias_,
          A_logs_.view({K, C, -1}), Ds_.view({K, C}), packed_};
}

ScanWeights ScanParameters::weights_of(int64_t direction) const {
  const ScanWeights all = weights();
  const auto one = [&](const torch::Tensor& t) { return t.narrow(0, direction, 1); };
  return {one(all.x_proj), one(all.dt_proj), one(all.dt_bias),
          one(all.A_log),  one(all.D),       packed_each_[static_cast<size_t>(direction)]};
}

SelectiveScanInputs project_scan_inputs(const torch::Tensor& tokens, const ScanWeights& weights) {
  const int64_t K = weights.dt_proj.size(0), rank = weights.dt_proj.size(2), N = weights.A_log.size(2);
  // All directions read the tokens in raster order, so one matrix product serves them all.
  const auto type = tokens.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const torch::Tensor low = linear(tokens, {weights.x_proj.flatten(0, 1), {}, weights.packed}, {}, type)
                                .view({tokens.size(0), tokens.size(1), K, rank + 2 * N});
  SelectiveScanInputs inputs;
  inputs.u = tokens;
  inputs.type = type;
  const std::vector<torch::Tensor> parts = low.split_with_sizes({rank, N, N}, 3);
  inputs.delta = per_direction(parts[0], weights.dt_proj);
  inputs.B = single(parts[1]).unsqueeze(3);
  inputs.C = single(parts[2]).unsqueeze(3);
  inputs.A = -torch::exp(single(weights.A_log));
  inputs.D = single(weights.D);
  inputs.delta_bias = single(weights.dt_bias);
  return inputs;
}

}  // namespace mambaseg
