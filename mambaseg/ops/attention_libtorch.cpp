// Attention by LibTorch's operations, for every device and type.

#include <algorithm>
#include <cmath>
#include <vector>

#include "mambaseg/ops/attention_parts.h"
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
  /// Of x (N, heads, L, ...).
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

/// The weights (items, heads, rows, L) of the queries of a piece, dropout apart.
Tensor weights_of(const AttentionOperands& o, const Piece& piece) {
  Tensor scores = torch::matmul(piece.of_rows(o.q) * scale_of(o.q), piece.of_items(o.k).transpose(-2, -1));
  if (o.bias.of_pairs.defined()) scores.add_(o.bias.of_pairs.narrow(1, piece.row, piece.rows));
  if (o.bias.regions.defined()) {
    const Tensor& all = o.bias.regions;
    const Tensor items =
        torch::arange(piece.item, piece.item + piece.items, all.options().dtype(torch::kLong));
    const Tensor regions = all.index_select(0, items.remainder(all.size(0)));
    const Tensor apart = regions.narrow(1, piece.row, piece.rows).unsqueeze(2) != regions.unsqueeze(1);
    scores.add_(apart.unsqueeze(1), kOtherRegion);
  }
  return scores.softmax(-1);
}

/// What dropout leaves of weights, or of their gradients, of a piece.
Tensor dropped(const AttentionOperands& o, const Piece& piece, const Tensor& weights) {
  if (!o.kept.defined()) return weights;
  return o.dropout < 1 ? weights * piece.of_rows(o.kept) / (1 - o.dropout) : torch::zeros_like(weights);
}

}  // namespace

Tensor attention_forward_libtorch(const AttentionOperands& o) {
  const Tensor& v = o.v;
  const Tensor y = torch::empty({v.size(0), v.size(2), v.size(1), v.size(3)}, v.options());
  for (const Piece& piece : pieces_of(o.q)) {
    const Tensor weights = dropped(o, piece, weights_of(o, piece));
    piece.of_rows(y.transpose(1, 2)).copy_(torch::matmul(weights, piece.of_items(v)));
  }
  return y;
}

AttentionGradients attention_backward_libtorch(const AttentionOperands& o, const Tensor& dy_NLHD) {
  const Tensor &q = o.q, &k = o.k, &v = o.v, dy = dy_NLHD.transpose(1, 2);
  // Sums over the pieces of numbers of 16 bits are fp32.
  const auto sums = q.options().dtype(q.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat);
  const Tensor dq = torch::empty_like(q), dk = torch::zeros(k.sizes(), sums),
               dv = torch::zeros(v.sizes(), sums);
  const Tensor& pairs = o.bias.of_pairs;
  const Tensor dpairs = pairs.defined() ? torch::zeros(pairs.sizes(), sums) : Tensor();
  for (const Piece& piece : pieces_of(q)) {
    const Tensor weights = weights_of(o, piece), g = piece.of_rows(dy);
    piece.of_items(dv).add_(torch::matmul(dropped(o, piece, weights).transpose(-2, -1), g));
    const Tensor dweights = dropped(o, piece, torch::matmul(g, piece.of_items(v).transpose(-2, -1)));
    const Tensor dscores = weights * (dweights - (dweights * weights).sum(-1, /*keepdim=*/true));
    if (dpairs.defined()) dpairs.narrow(1, piece.row, piece.rows).add_(dscores.sum(0));
    piece.of_rows(dq).copy_(torch::matmul(dscores, piece.of_items(k)) * scale_of(q));
    piece.of_items(dk).add_(torch::matmul(dscores.transpose(-2, -1), piece.of_rows(q)), scale_of(q));
  }
  return {dq, dk.to(k.scalar_type()), dv.to(v.scalar_type()),
          dpairs.defined() ? dpairs.to(pairs.scalar_type()) : dpairs};
}

}  // namespace mambaseg
