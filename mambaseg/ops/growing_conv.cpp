#include "mambaseg/ops/growing_conv.h"

#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/onednn.h"

namespace mambaseg {
namespace {

using torch::Tensor;

bool is_fast(const Tensor& x, const Tensor& weight) {
  return fits_kernels(x) && onednn::takes(x) && weight.scalar_type() == torch::kFloat;
}

/// The three taps along `axis` as two, for outputs at even (parity 0) or odd positions: the tap towards the
/// neighbour stands alone, the other two fall on one voxel.
Tensor paired_taps(const Tensor& weight, int64_t axis, int64_t parity) {
  const auto tap = [&](int64_t i) { return weight.narrow(axis, i, 1); };
  return parity == 0 ? torch::cat({tap(0), tap(1) + tap(2)}, axis)
                     : torch::cat({tap(0) + tap(1), tap(2)}, axis);
}

/// The results of the parities (B, C, spatial...) as one grid of twice the edges, differentiable.
Tensor interleaved(const std::vector<Tensor>& results, const std::vector<int64_t>& doubled) {
  const auto axes = static_cast<int64_t>(doubled.size()) - 2;
  // (parity of each axis..., B, spatial..., C) -> (B, Z, parity, Y, parity, X, parity, C)
  std::vector<Tensor> rows;
  for (const Tensor& r : results) rows.push_back(r.movedim(1, -1));
  std::vector<int64_t> split(static_cast<size_t>(axes), 2), order{axes}, sizes = doubled;
  const std::vector<int64_t> rest = rows[0].sizes().vec();
  split.insert(split.end(), rest.begin(), rest.end());
  for (int64_t axis = 0; axis < axes; ++axis) order.insert(order.end(), {axes + 1 + axis, axis});
  order.push_back(2 * axes + 1);
  sizes.erase(sizes.begin() + 1);
  sizes.push_back(doubled[1]);
  return torch::stack(rows).view(split).permute(order).reshape(sizes).movedim(-1, 1);
}

}  // namespace

DenseWeights DerivedWeights::of(const Tensor& weight, const Tensor& bias, const Make& of_weight,
                                const Make& of_bias) {
  std::vector<int64_t> state;
  for (const Tensor& t : {weight, bias})
    if (t.defined()) state.insert(state.end(), {reinterpret_cast<int64_t>(t.data_ptr()), t._version()});
  if (state != state_) {
    forget();
    weight_ = of_weight(weight.detach()).contiguous();
    bias_ = bias.defined() && of_bias ? of_bias(bias.detach()).contiguous() : bias;
    state_ = state;
  }
  return {weight_, bias_, packed_};
}

void DerivedWeights::forget() {
  state_.clear();
  packed_.forget();
}

Tensor doubled_convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, GrowingWeights& kept) {
  if (onednn::wants_fp32(x))
    return doubled_convolution(x.to(torch::kFloat), weight, bias, kept).to(torch::kBFloat16);
  const auto axes = static_cast<size_t>(x.dim() - 2);
  std::vector<int64_t> doubled = x.sizes().slice(2).vec();
  for (int64_t& size : doubled) size *= 2;
  const std::vector<int64_t> ones(axes, 1);
  if (!is_fast(x, weight)) {
    const Tensor grown =
        axes == 2 ? torch::upsample_nearest2d(x, doubled) : torch::upsample_nearest3d(x, doubled);
    return convolution(grown, {weight, bias}, {ones, ones, ones});
  }
  const bool recorded = needs_gradient({x, weight, bias});
  doubled.insert(doubled.begin(), {x.size(0), weight.size(0)});
  const Tensor from = channels_last(x);
  const Tensor y = recorded ? Tensor() : empty_channels_last(doubled, x);
  std::vector<Tensor> results;  // of every parity, the first axis slowest
  const size_t parities = size_t{1} << axes;
  kept.resize(parities);
  for (size_t p = 0; p < parities; ++p) {
    const auto parity = [&](size_t axis) { return static_cast<int64_t>(p >> (axes - 1 - axis) & 1); };
    ConvolutionOptions options{ones, {}, ones};
    for (size_t axis = 0; axis < axes; ++axis) {
      options.padding.push_back(1 - parity(axis));
      options.padding_behind.push_back(parity(axis));
    }
    const auto summed = [&](Tensor w) {
      for (size_t axis = 0; axis < axes; ++axis)
        w = paired_taps(w, static_cast<int64_t>(axis) + 2, parity(axis));
      return w;
    };
    if (recorded) {
      kept[p].forget();
      results.push_back(convolution(from, {summed(weight), bias, kept[p].packed()}, options));
      continue;
    }
    Tensor to = y;
    for (size_t axis = 0; axis < axes; ++axis)
      to = to.slice(static_cast<int64_t>(axis) + 2, parity(axis), doubled[axis + 2], 2);
    to.copy_(convolution(from, kept[p].of(weight, bias, summed), options));
  }
  return recorded ? interleaved(results, doubled) : y;
}

Tensor block_convolution(const Tensor& x, const Tensor& weight, const Tensor& bias, GrowingWeights& kept) {
  const auto axes = static_cast<size_t>(x.dim() - 2);
  const std::vector<int64_t> edges = weight.sizes().slice(2).vec();
  kept.resize(1);
  if (!is_fast(x, weight)) {
    const std::vector<int64_t> zeros(axes, 0), ones(axes, 1);
    return torch::convolution(x.to(weight.scalar_type()), weight, bias, edges, zeros, ones, true, zeros, 1)
        .to(x.scalar_type());
  }
  const int64_t in = weight.size(0), out = weight.size(1), taps = weight.numel() / (in * out);
  const auto rows = [](const Tensor& w) { return w.flatten(2).permute({2, 1, 0}).flatten(0, 1); };
  const auto repeated = [&](const Tensor& b) { return b.repeat({taps}); };
  const auto weights = [&]() -> DenseWeights {
    if (!needs_gradient({x, weight, bias})) return kept[0].of(weight, bias, rows, repeated);
    kept[0].forget();
    return {rows(weight), bias.defined() ? repeated(bias) : bias, kept[0].packed()};
  };
  const Tensor blocks = linear(channels_last(x).movedim(1, -1), weights());
  // (B, Z, Y, X, taps * out) -> (B, Z, kz, Y, ky, X, kx, out) -> (B, Z kz, Y ky, X kx, out)
  std::vector<int64_t> split = blocks.sizes().slice(0, static_cast<int64_t>(axes) + 1).vec(), order{0},
                       grown{x.size(0)};
  split.insert(split.end(), edges.begin(), edges.end());
  split.push_back(out);
  for (size_t axis = 0; axis < axes; ++axis) {
    order.insert(order.end(), {static_cast<int64_t>(1 + axis), static_cast<int64_t>(1 + axes + axis)});
    grown.push_back(x.size(static_cast<int64_t>(axis) + 2) * edges[axis]);
  }
  order.push_back(static_cast<int64_t>(2 * axes + 1));
  grown.push_back(out);
  return blocks.view(split).permute(order).reshape(grown).movedim(-1, 1);
}

}  // namespace mambaseg
