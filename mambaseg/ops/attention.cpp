#include "mambaseg/ops/attention.h"

#include <torch/autograd.h>

#include <algorithm>
#include <cmath>

#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/dense.h"
#include "mambaseg/ops/plain_libtorch.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr int64_t kScoresHeld = int64_t{1} << 23;
constexpr double kOtherRegion = -100;  // as the Swin Transformer has it

/// Queries whose scores are held at a time: some rows of one item, or all of some items.
struct Piece {
  int64_t item, items, row, rows;
  Tensor of_items(const Tensor& x) const { return x.narrow(0, item, items); }
  /// Of x (N, heads, L, D).
  Tensor of_rows(const Tensor& x) const { return of_items(x).narrow(2, row, rows); }
};

std::vector<Piece> pieces_of(const Tensor& q) {
  const int64_t N = q.size(0), heads = q.size(1), L = q.size(2);
  if (PlainLibTorchGuard::active()) return {{0, N, 0, L}};
  const int64_t items = std::clamp<int64_t>(kScoresHeld / (heads * L * L), 1, N);
  const int64_t rows = std::clamp<int64_t>(kScoresHeld / (heads * L), 1, L);
  std::vector<Piece> pieces;
  for (int64_t item = 0; item < N; item += items)
    for (int64_t row = 0; row < L; row += rows)
      pieces.push_back({item, std::min(items, N - item), row, std::min(rows, L - row)});
  return pieces;
}

double scale_of(const Tensor& q) { return 1 / std::sqrt(static_cast<double>(q.size(3))); }

/// The weights (items, heads, rows, L) of the queries of a piece.
Tensor weights_of(const Tensor& q, const Tensor& k, const AttentionBias& bias, const Piece& piece) {
  Tensor scores = torch::matmul(piece.of_rows(q) * scale_of(q), piece.of_items(k).transpose(-2, -1));
  if (bias.of_pairs.defined()) scores.add_(bias.of_pairs.narrow(1, piece.row, piece.rows));
  if (bias.regions.defined()) {
    const Tensor items =
        torch::arange(piece.item, piece.item + piece.items, bias.regions.options().dtype(torch::kLong));
    const Tensor regions = bias.regions.index_select(0, items.remainder(bias.regions.size(0)));
    const Tensor apart = regions.narrow(1, piece.row, piece.rows).unsqueeze(2) != regions.unsqueeze(1);
    scores.add_(apart.unsqueeze(1), kOtherRegion);
  }
  return scores.softmax(-1);
}

/// Which weights dropout keeps.
Tensor kept_of(const Tensor& weights, double dropout) {
  return torch::empty(weights.sizes(), weights.options().dtype(torch::kBool)).bernoulli_(1 - dropout);
}

Tensor dropped(const Tensor& weights, const Tensor& kept, double dropout) {
  return dropout < 1 ? weights * kept / (1 - dropout) : torch::zeros_like(weights);
}

/// (N, L, heads, D). What dropout keeps in each piece goes to `chosen` where it is given.
Tensor mixed(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionBias& bias, double dropout,
             std::vector<Tensor>* chosen) {
  const Tensor y = torch::empty({v.size(0), v.size(2), v.size(1), v.size(3)}, v.options());
  for (const Piece& piece : pieces_of(q)) {
    Tensor weights = weights_of(q, k, bias, piece);
    if (dropout > 0) {
      const Tensor kept = kept_of(weights, dropout);
      weights = dropped(weights, kept, dropout);
      if (chosen) chosen->push_back(kept);
    }
    piece.of_rows(y.transpose(1, 2)).copy_(torch::matmul(weights, piece.of_items(v)));
  }
  return y;
}

/// Autograd functions of LibTorch 1.13 take no undefined tensors.
Tensor or_empty(const Tensor& x, const Tensor& like) {
  return x.defined() ? x : torch::empty({0}, like.options().requires_grad(false));
}
Tensor or_undefined(const Tensor& x) { return x.numel() > 0 ? x : Tensor(); }

/// `of_pairs` and `regions` are empty where there are none.
class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& q, const Tensor& k,
                        const Tensor& v, const Tensor& of_pairs, const Tensor& regions, double dropout) {
    std::vector<Tensor> chosen;
    const Tensor y = mixed(q, k, v, {or_undefined(of_pairs), or_undefined(regions)}, dropout, &chosen);
    std::vector<Tensor> saved{q, k, v, of_pairs, regions};
    saved.insert(saved.end(), chosen.begin(), chosen.end());
    ctx->save_for_backward(saved);
    ctx->saved_data["dropout"] = dropout;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const AttentionBias bias{or_undefined(saved[3]), or_undefined(saved[4])};
    const double dropout = ctx->saved_data["dropout"].toDouble(), scale = scale_of(q);
    const Tensor dy = gradients[0].transpose(1, 2);
    // Sums over the pieces of numbers of 16 bits are fp32.
    const auto sums = q.options().dtype(q.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat);
    const Tensor dq = torch::empty_like(q), dk = torch::zeros(k.sizes(), sums),
                 dv = torch::zeros(v.sizes(), sums);
    const Tensor dpairs = bias.of_pairs.defined() ? torch::zeros(bias.of_pairs.sizes(), sums) : Tensor();
    const std::vector<Piece> pieces = pieces_of(q);
    for (size_t p = 0; p < pieces.size(); ++p) {
      const Piece& piece = pieces[p];
      const Tensor weights = weights_of(q, k, bias, piece), g = piece.of_rows(dy);
      const Tensor kept = dropout > 0 ? saved[5 + p] : Tensor();
      const auto through_dropout = [&](const Tensor& x) {
        return kept.defined() ? dropped(x, kept, dropout) : x;
      };
      piece.of_items(dv).add_(torch::matmul(through_dropout(weights).transpose(-2, -1), g));
      const Tensor dweights = through_dropout(torch::matmul(g, piece.of_items(v).transpose(-2, -1)));
      const Tensor dscores = weights * (dweights - (dweights * weights).sum(-1, /*keepdim=*/true));
      if (dpairs.defined()) dpairs.narrow(1, piece.row, piece.rows).add_(dscores.sum(0));
      piece.of_rows(dq).copy_(torch::matmul(dscores, piece.of_items(k)) * scale);
      piece.of_items(dk).add_(torch::matmul(dscores.transpose(-2, -1), piece.of_rows(q)), scale);
    }
    return {dq,
            dk.to(k.scalar_type()),
            dv.to(v.scalar_type()),
            dpairs.defined() ? dpairs.to(bias.of_pairs.scalar_type()) : dpairs,
            Tensor(),
            Tensor()};
  }
};

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionBias& bias,
                 double dropout) {
  TORCH_CHECK(q.dim() == 4 && q.sizes() == k.sizes() && q.sizes() == v.sizes(),
              "attention: expected three tensors (N, heads, L, D) of one size, got ", q.sizes(), ", ",
              k.sizes(), " and ", v.sizes());
  if (q.is_cpu() && q.element_size() < 4 && !has_bf16_arithmetic()) {  // LibTorch has no such products there
    AttentionBias wide = bias;
    if (bias.of_pairs.defined()) wide.of_pairs = bias.of_pairs.to(torch::kFloat);
    return attention(q.to(torch::kFloat), k.to(torch::kFloat), v.to(torch::kFloat), wide, dropout)
        .to(v.scalar_type());
  }
  const bool recorded = needs_gradient({q, k, v, bias.of_pairs});
  const Tensor y = recorded ? AttentionFunction::apply(q, k, v, or_empty(bias.of_pairs, q),
                                                       or_empty(bias.regions, q), dropout)
                            : mixed(q, k, v, bias, dropout, nullptr);
  return y.flatten(2, 3);
}

}  // namespace mambaseg
