// The selective scan by LibTorch's operations, on any device: all directions together, one chunk of steps
// after the other. Within a chunk the recurrences of the steps are composed by doubling (Hillis & Steele
// 1986), so that a chunk is few operations. Of the forward pass only the states before the chunks are kept;
// the backward pass follows every chunk again and asks autograd.

#include <torch/autograd.h>

#include "mambaseg/ops/selective_scan_operands.h"

namespace mambaseg {
namespace {

using at::indexing::Slice;
using torch::Tensor;

constexpr int64_t kSteps = 32;  // of a chunk

/// What T steps of all directions read, in the order of the walks and in the type of the state.
struct ScanChunk {
  Tensor u, delta;       ///< (B, T, K, C)
  Tensor B, C;           ///< (B, T, K, G, N), or (K, C, N)
  Tensor A;              ///< (K, C, N)
  Tensor D, delta_bias;  ///< (K, C), or undefined
  Tensor first_state;    ///< (B, K, C, N)
  std::vector<Tensor*> given() {
    std::vector<Tensor*> all{&u, &delta, &B, &C, &A, &first_state};
    for (Tensor* t : {&D, &delta_bias})
      if (t->defined()) all.push_back(t);
    return all;
  }
};

/// The tokens of the walks: (L, K).
Tensor walks_of(const ScanOperands& o) {
  const auto options = o.u.options().dtype(torch::kLong);
  if (!o.index_TL.defined()) return torch::arange(o.length(), options).unsqueeze(1);
  std::vector<Tensor> walks;
  for (int64_t k = 0; k < o.directions(); ++k) {
    const Tensor walk = o.index_TL[o.table[k]].to(torch::kLong);
    walks.push_back(o.backwards[k] != 0 ? walk.flip(0) : walk);
  }
  return torch::stack(walks, 1);
}

/// The steps (T, K) of a tensor per token, (B, L, K, ...) or (B, L, C) for all directions.
Tensor steps_of(const Tensor& tensor, const Tensor& walk_TK) {
  if (tensor.dim() == 3) return tensor.index({Slice(), walk_TK});
  return tensor.index({Slice(), walk_TK, torch::arange(walk_TK.size(1), walk_TK.options())});
}

/// Adds the steps (B, T, K, ...) to where steps_of read them. No two steps of a direction meet.
void add_steps(const Tensor& to, const Tensor& walk_TK, const Tensor& steps) {
  for (int64_t k = 0; k < walk_TK.size(1); ++k)
    (to.dim() == 3 ? to : to.select(2, k)).index_add_(1, walk_TK.select(1, k), steps.select(2, k));
}

ScanChunk chunk_of(const ScanOperands& o, const Tensor& walk_TK, const Tensor& first_state) {
  const auto steps = [&](const Tensor& t) { return steps_of(t, walk_TK).to(o.A.scalar_type()); };
  const auto either = [&](const Tensor& t) { return t.dim() == 5 ? steps(t) : t.to(o.A.scalar_type()); };
  return {steps(o.u), steps(o.delta), either(o.B), either(o.C), o.A, o.D, o.delta_bias, first_state};
}

/// B or C for every channel.
Tensor by_channel(const Tensor& t, int64_t channels) {
  if (t.dim() != 5) return t;
  std::vector<int64_t> sizes = t.sizes().vec();
  sizes.insert(sizes.begin() + 4, channels / t.size(3));
  return t.unsqueeze(4).expand(sizes).flatten(3, 4);
}

/// y (B, T, K, C) of the steps, and the state after the last, (B, K, C, N).
std::pair<Tensor, Tensor> follow(const ScanChunk& c, bool delta_softplus) {
  Tensor dt = c.delta_bias.defined() ? c.delta + c.delta_bias : c.delta;
  if (delta_softplus) dt = torch::softplus(dt, 1, 20);
  const int64_t length = dt.size(1), channels = dt.size(3);
  // Step t maps the state x to decay * x + gain; in the end, to what all steps up to t do to the first state.
  Tensor decay = torch::exp(dt.unsqueeze(4) * c.A);
  Tensor gain = (dt * c.u).unsqueeze(4) * by_channel(c.B, channels);
  for (int64_t reach = 1; reach < length; reach *= 2) {
    const int64_t rest = length - reach;
    const Tensor later = decay.narrow(1, reach, rest);
    gain = torch::cat(
        {gain.narrow(1, 0, reach), gain.narrow(1, reach, rest) + later * gain.narrow(1, 0, rest)}, 1);
    decay = torch::cat({decay.narrow(1, 0, reach), later * decay.narrow(1, 0, rest)}, 1);
  }
  const Tensor x = decay * c.first_state.unsqueeze(1) + gain;
  Tensor y = (x * by_channel(c.C, channels)).sum(4);
  if (c.D.defined()) y = y + c.D * c.u;
  return {y, x.select(1, length - 1)};
}

}  // namespace

ScanResult scan_forward_libtorch(const ScanOperands& o, bool keep_borders, bool keep_state) {
  const auto options = o.A.options();
  const Tensor walks_LK = walks_of(o);
  ScanResult result;
  result.y = torch::zeros({o.batch(), o.length(), o.channels()}, options);
  Tensor state = torch::zeros({o.batch(), o.directions(), o.channels(), o.states()}, options);
  std::vector<Tensor> borders;
  for (const Tensor& walk_TK : walks_LK.split(kSteps)) {
    if (keep_borders) borders.push_back(state);
    const auto [y, last] = follow(chunk_of(o, walk_TK, state), o.delta_softplus);
    add_steps(result.y, walk_TK, y);
    state = last.contiguous();
  }
  if (keep_borders) result.borders = torch::stack(borders);
  if (keep_state) result.last_state = state;
  result.gated = o.z.defined() ? result.y * torch::silu(o.z.to(result.y.scalar_type())) : result.y;
  return result;
}

ScanGradients scan_backward_libtorch(const ScanOperands& o, const Tensor& grad_out, const Tensor& borders) {
  const auto zeros = [&](const Tensor& t) {
    return t.defined() ? torch::zeros(t.sizes(), o.A.options()) : t;
  };
  ScanGradients total{zeros(o.u), zeros(o.delta), zeros(o.A),         zeros(o.B),
                      zeros(o.C), zeros(o.D),     zeros(o.delta_bias)};
  const Tensor grad_y = o.z.defined() ? grad_out * torch::silu(o.z.to(grad_out.scalar_type())) : grad_out;
  const std::vector<Tensor> walks = walks_of(o).split(kSteps);
  Tensor grad_state = torch::zeros_like(borders[0]);
  for (size_t i = walks.size(); i-- > 0;) {
    const Tensor& walk_TK = walks[i];
    ScanChunk chunk = chunk_of(o, walk_TK, borders[static_cast<int64_t>(i)]);
    ScanChunk gradients = chunk;
    {
      const at::AutoGradMode with_gradient(true);
      std::vector<Tensor> leaves;
      for (Tensor* t : chunk.given()) leaves.push_back(*t = t->detach().requires_grad_());
      const auto [y, last] = follow(chunk, o.delta_softplus);
      const auto found = torch::autograd::grad({y, last}, leaves, {steps_of(grad_y, walk_TK), grad_state});
      const std::vector<Tensor*> given = gradients.given();
      for (size_t g = 0; g < given.size(); ++g) *given[g] = found[g];
    }
    add_steps(total.u, walk_TK, gradients.u);
    add_steps(total.delta, walk_TK, gradients.delta);
    o.B.dim() == 5 ? add_steps(total.B, walk_TK, gradients.B) : void(total.B += gradients.B);
    o.C.dim() == 5 ? add_steps(total.C, walk_TK, gradients.C) : void(total.C += gradients.C);
    total.A += gradients.A;
    if (o.D.defined()) total.D += gradients.D;
    if (o.delta_bias.defined()) total.delta_bias += gradients.delta_bias;
    grad_state = gradients.first_state;
  }
  return total;
}

}  // namespace mambaseg
