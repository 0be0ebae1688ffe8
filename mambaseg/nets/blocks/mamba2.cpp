#include "mambaseg/nets/blocks/mamba2.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/nets/layers/undecayed.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/ops/gate.h"

namespace mambaseg {
namespace {

constexpr double kNormEps = 1e-5;

torch::Tensor single(const torch::Tensor& t) {
  return t.scalar_type() == torch::kDouble ? t : t.to(torch::kFloat);
}

}  // namespace

RmsNorm::RmsNorm(int64_t width, double eps)
    : weight_(register_parameter("weight", torch::ones({width}))), eps_(eps) {}

torch::Tensor RmsNorm::forward(const torch::Tensor& x) {
  const torch::Tensor wide = single(x);
  return (wide * torch::rsqrt(wide.square().mean({-1}, true) + eps_) * weight_).to(x.scalar_type());
}

Mamba2::Mamba2(const Mamba2Settings& s) : settings_(s), channels_(s.expand * s.width) {
  if (channels_ % s.head_channels != 0)
    throw UsageError(
        concat("mamba: expected heads of channels that divide ", channels_, ", got ", s.head_channels));
  const int64_t heads = channels_ / s.head_channels;
  const int64_t out = WithoutScansGuard::active() ? 2 * channels_ : 2 * channels_ + 2 * s.states + heads;
  in_proj_ = register_module("in_proj", std::make_shared<Linear>(s.width, out, false));
  first_ = reading("conv1d", "A_log", "D", "twin");
  if (s.second != SecondReading::none)
    second_ = reading("Conv1dReverse", "AReverseLog", "DReverse", "TwinReverse");
  if (!first_.twin) dt_bias_ = without_decay(register_parameter("dt_bias", ssm_init::dt_bias({heads})));
  norm_ = register_module("norm", std::make_shared<RmsNorm>(channels_, kNormEps));
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(channels_, s.width, false));
}

Mamba2::Reading Mamba2::reading(const char* conv, const char* A_log, const char* D, const char* twin) {
  const int64_t C = channels_, N = settings_.states, heads = C / settings_.head_channels;
  // What the projection has for B, C and time steps counts as the rank of a scan's weights.
  const int64_t share = (2 * N + heads) * settings_.width / C;
  Reading r;
  r.twin = scan_twin(*this, twin, {1, C, share / (settings_.second == SecondReading::none ? 2 : 4), 0});
  const int64_t convolved = r.twin ? C : C + 2 * N;
  r.conv = register_module(
      conv, depthwise(1, convolved, settings_.conv_kernel, {.padding = {settings_.conv_kernel - 1}}));
  if (r.twin) return r;
  r.A_log = without_decay(register_parameter(
      A_log, torch::empty({heads}).uniform_(1, 16).log()));  // as state-spaces/mamba has it
  r.D = without_decay(register_parameter(D, torch::ones({heads})));
  return r;
}

torch::Tensor Mamba2::read(const torch::Tensor& projected, const Reading& r) const {
  const int64_t C = channels_, N = settings_.states, P = settings_.head_channels;
  const torch::Tensor gate = projected.narrow(-1, 0, C);
  const torch::Tensor x = depthwise_conv(projected.narrow(-1, C, r.twin ? C : C + 2 * N), r.conv->weight,
                                         r.conv->bias, {{}, true, true, {}, Activation::silu});
  torch::Tensor y;
  if (r.twin) {
    y = gated(r.twin->forward(x), gate, Activation::silu);
  } else {
    const auto of_heads = [&](const torch::Tensor& t) { return single(t).repeat_interleave(P, -1); };
    SelectiveScanInputs inputs;
    inputs.u = single(x.narrow(-1, 0, C));
    inputs.B = single(x.narrow(-1, C, N)).unsqueeze(2).unsqueeze(3);
    inputs.C = single(x.narrow(-1, C + N, N)).unsqueeze(2).unsqueeze(3);
    inputs.delta = of_heads(projected.narrow(-1, 2 * C + 2 * N, C / P)).unsqueeze(2);
    inputs.delta_bias = of_heads(dt_bias_).unsqueeze(0);
    inputs.A = (-torch::exp(of_heads(r.A_log))).unsqueeze(1).expand({C, N}).unsqueeze(0);
    inputs.D = of_heads(r.D).unsqueeze(0);
    inputs.z = single(gate);
    y = selective_scan(inputs);
  }
  return out_proj_->forward(norm_->forward(y).to(projected.scalar_type()));
}

torch::Tensor Mamba2::forward(const torch::Tensor& x) {
  const torch::Tensor projected = in_proj_->forward(x), y = read(projected, first_);
  if (settings_.second == SecondReading::none) return y;
  const int64_t axis = settings_.second == SecondReading::backwards ? 1 : 2;
  return (y + read(projected.flip(axis), second_).flip(axis)) / 2;
}

}  // namespace mambaseg
