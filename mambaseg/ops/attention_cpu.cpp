// Attention on the CPU: how the threads share the heads of all items.

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "mambaseg/kernels/attention.h"
#include "mambaseg/ops/attention_parts.h"
#include "mambaseg/ops/channels_last.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// The operands as the kernels read them: numbers of a token contiguous, bias and regions in fp32.
AttentionOperands for_kernels(const AttentionOperands& given) {
  const auto rows = [](const Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); };
  const auto floats = [](const Tensor& x) { return x.defined() ? x.to(torch::kFloat).contiguous() : x; };
  AttentionOperands o = given;
  o.q = rows(o.q), o.k = rows(o.k), o.v = rows(o.v);
  o.bias = {floats(o.bias.of_pairs), floats(o.bias.regions)};
  if (o.kept.defined()) o.kept = o.kept.contiguous();
  return o;
}

template <class T>
AttentionHead<T> head_of(const AttentionOperands& o, int64_t item, int64_t head) {
  const int64_t L = o.q.size(2);
  const auto rows = [&](const Tensor& x) -> typename AttentionHead<T>::Rows {
    return {static_cast<const T*>(x.data_ptr()) + item * x.stride(0) + head * x.stride(1), x.stride(2)};
  };
  AttentionHead<T> of{L, o.q.size(3), rows(o.q), rows(o.k), rows(o.v)};
  if (o.bias.of_pairs.defined()) of.pairs = o.bias.of_pairs.data_ptr<float>() + head * L * L;
  if (o.bias.regions.defined())
    of.regions = o.bias.regions.data_ptr<float>() + item % o.bias.regions.size(0) * L;
  if (o.kept.defined()) {
    of.kept = static_cast<const uint8_t*>(o.kept.data_ptr()) + (item * o.q.size(1) + head) * L * L;
    of.kept_scale = o.dropout < 1 ? static_cast<float>(1 / (1 - o.dropout)) : 0;
  }
  return of;
}

Tensor like_tokens(const Tensor& x) {
  return torch::empty({x.size(0), x.size(2), x.size(1), x.size(3)}, x.options());
}

template <class T>
T* token_rows(const Tensor& x_NLHD, int64_t item, int64_t head) {
  return static_cast<T*>(x_NLHD.data_ptr()) + item * x_NLHD.stride(0) + head * x_NLHD.stride(2);
}

Tensor scratch_of(int64_t floats) { return torch::empty({floats}, torch::kFloat); }

}  // namespace

Tensor attention_forward_cpu(const AttentionOperands& given) {
  const AttentionOperands o = for_kernels(given);
  const int64_t N = o.q.size(0), heads = o.q.size(1), L = o.q.size(2), D = o.q.size(3);
  const Tensor y = like_tokens(o.q);
  // A head at a time, in parts where there are few: each part arranges all keys and values anew.
  const int64_t parts = std::clamp<int64_t>(4 * at::get_num_threads() / std::max<int64_t>(N * heads, 1), 1,
                                            std::max<int64_t>(L / 64, 1));
  with_numbers(o.q, [&](const auto* numbers) {
    using T = std::remove_cv_t<std::remove_pointer_t<decltype(numbers)>>;
    at::parallel_for(0, heads * N * parts, 1, [&](int64_t first, int64_t last) {
      const Tensor scratch = scratch_of(attention_scratch(L, D));
      for (int64_t i = first; i < last; ++i) {
        const int64_t part = i % parts, head = i / parts % heads, item = i / parts / heads;
        attention_forward(head_of<T>(o, item, head), L * part / parts, L * (part + 1) / parts,
                          token_rows<T>(y, item, head), y.stride(1), scratch.data_ptr<float>());
      }
    });
  });
  return y;
}

AttentionGradients attention_backward_cpu(const AttentionOperands& given, const Tensor& dy_NLHD) {
  const AttentionOperands o = for_kernels(given);
  const int64_t N = o.q.size(0), heads = o.q.size(1), L = o.q.size(2), D = o.q.size(3), count = heads * N;
  const Tensor dy = dy_NLHD.to(o.q.scalar_type()).contiguous(), dq = like_tokens(o.q), dk = like_tokens(o.q),
               dv = like_tokens(o.q);
  // Each share of the heads has its sums of what is added to the scores, so that no sum depends on which
  // thread ends first.
  const int64_t shares = std::clamp<int64_t>(at::in_parallel_region() ? 1 : at::get_num_threads(), 1,
                                             std::max<int64_t>(count, 1));
  const bool with_pairs = o.bias.of_pairs.defined();
  std::vector<std::vector<Tensor>> sums(static_cast<size_t>(shares));
  with_numbers(o.q, [&](const auto* numbers) {
    using T = std::remove_cv_t<std::remove_pointer_t<decltype(numbers)>>;
    const auto work = [&](int64_t share) {
      const Tensor scratch = scratch_of(attention_backward_scratch(L, D));
      std::vector<Tensor>& of_share = sums[static_cast<size_t>(share)];
      of_share.resize(with_pairs ? static_cast<size_t>(heads) : 0);
      for (int64_t i = count * share / shares; i < count * (share + 1) / shares; ++i) {
        const int64_t item = i % N, head = i / N;
        AttentionGradient<T> gradient{token_rows<T>(dy, item, head), token_rows<T>(dq, item, head),
                                      token_rows<T>(dk, item, head), token_rows<T>(dv, item, head),
                                      dy.stride(1)};
        if (with_pairs) {
          Tensor& sum = of_share[static_cast<size_t>(head)];
          if (!sum.defined()) sum = torch::zeros({L, L}, torch::kFloat);
          gradient.dpairs = sum.data_ptr<float>();
        }
        attention_backward(head_of<T>(o, item, head), gradient, scratch.data_ptr<float>());
      }
    };
    at::parallel_for(0, shares, 1, [&](int64_t first, int64_t last) {
      for (int64_t share = first; share < last; ++share) work(share);
    });
  });
  Tensor dpairs;
  if (with_pairs) {
    dpairs = torch::zeros({heads, L, L}, torch::kFloat);
    for (const std::vector<Tensor>& of_share : sums)
      for (int64_t head = 0; head < heads; ++head)
        if (const Tensor& sum = of_share[static_cast<size_t>(head)]; sum.defined()) dpairs[head].add_(sum);
    dpairs = dpairs.to(given.bias.of_pairs.scalar_type());
  }
  return {dq.transpose(1, 2), dk.transpose(1, 2), dv.transpose(1, 2), dpairs};
}

}  // namespace mambaseg
