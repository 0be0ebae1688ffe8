// The selective scan on the CPU: how the threads share it.

#include <ATen/Parallel.h>

#include <utility>

#include "mambaseg/core/error.h"
#include "mambaseg/kernels/selective_scan.h"
#include "mambaseg/ops/selective_scan_operands.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr int64_t kChannelBlock = 16;  // a whole number of SIMD vectors on every target

/// B or C, per token (five axes) or constant (three).
template <class T>
T* either(const Tensor& tensor, int64_t b, int64_t k) {
  return scan_part<T>(tensor, b, k, tensor.dim() == 5 ? 2 : 0);
}
int64_t either_stride(const Tensor& tensor) { return tensor.dim() == 5 ? tensor.stride(1) : 0; }

/// [begin, end) of piece `index` of `pieces` of `size` things, in whole blocks.
std::pair<int64_t, int64_t> piece(int64_t size, int64_t pieces, int64_t index, int64_t block) {
  const int64_t blocks = (size + block - 1) / block;
  return {std::min(size, blocks * index / pieces * block),
          std::min(size, blocks * (index + 1) / pieces * block)};
}

/// How the threads share the work: batch ranges by channel ranges by pieces of the walk. It depends on the
/// sizes and the number of threads only, and so do the sums, bit for bit.
struct Shares {
  int64_t batches = 1, channels = 1, pieces = 1;

  explicit Shares(const ScanOperands& o) {
    const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
    const int64_t blocks = (o.channels() + kChannelBlock - 1) / kChannelBlock;
    // Channels first: their ranges need no extra sums of the (K, C, N) gradients. Batch items where they
    // balance better.
    if (blocks % threads == 0 || blocks >= 4 * threads) {
      channels = threads;
      return;
    }
    batches = std::min(threads, o.batch());
    channels = std::clamp<int64_t>(threads / batches, 1, blocks);
    // Every piece but the last is followed twice, so that two save nothing.
    const int64_t idle = threads / (batches * channels);
    if (idle >= 3) pieces = std::min(idle, selective_scan_chunks(o.length(), o.states()));
  }
  int64_t count() const { return batches * channels * pieces; }
};

/// The part of one thread.
struct Share {
  int64_t index, batch_range, channel_range, piece;
  std::pair<int64_t, int64_t> items, channels, steps;
};

/// Calls of(share) for all shares, at the same time.
template <class Function>
void for_shares(const Shares& shares, const ScanOperands& o, Function of) {
  at::parallel_for(0, shares.count(), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      Share s{i,
              i / shares.pieces / shares.channels,
              i / shares.pieces % shares.channels,
              i % shares.pieces,
              {},
              {},
              {}};
      s.items = piece(o.batch(), shares.batches, s.batch_range, 1);
      s.channels = piece(o.channels(), shares.channels, s.channel_range, kChannelBlock);
      s.steps = piece(o.length(), shares.pieces, s.piece, selective_scan_chunk(o.states()));
      of(s);
    }
  });
}

/// Calls of(share, b, k) for the batch items of all shares and the directions. Pieces of different walks meet
/// the same tokens, so with pieces one direction comes after the other.
template <class Function>
void for_walks(const Shares& shares, const ScanOperands& o, Function of) {
  const int64_t together = shares.pieces == 1 ? o.directions() : 1;
  for (int64_t k_begin = 0; k_begin < o.directions(); k_begin += together) {
    for_shares(shares, o, [&](const Share& share) {
      for (int64_t b = share.items.first; b < share.items.second; ++b) {
        for (int64_t k = k_begin; k < k_begin + together; ++k) of(share, b, k);
      }
    });
  }
}

template <class T, class Input>
SelectiveScan<T, Input> scan_of(const ScanOperands& o, int64_t b, int64_t k, const Share& share) {
  SelectiveScan<T, Input> scan;
  scan.length = o.length();
  scan.channels = o.channels();
  scan.states = o.states();
  scan.groups = o.groups();
  std::tie(scan.channel_begin, scan.channel_end) = share.channels;
  std::tie(scan.step_begin, scan.step_end) = share.steps;
  scan.u = per_token<Input>(o.u, b, k);
  scan.u_stride = o.u.stride(1);
  scan.delta = per_token<Input>(o.delta, b, k);
  scan.delta_stride = o.delta.stride(1);
  scan.A = per_direction<T>(o.A, k);
  scan.B = either<Input>(o.B, b, k);
  scan.B_stride = either_stride(o.B);
  scan.C = either<Input>(o.C, b, k);
  scan.C_stride = either_stride(o.C);
  scan.D = per_direction<T>(o.D, k);
  scan.delta_bias = per_direction<T>(o.delta_bias, k);
  scan.delta_softplus = o.delta_softplus;
  if (o.index_TL.defined()) {
    scan.order = o.index_TL.data_ptr<int32_t>() + o.table[k] * o.index_TL.stride(0);
    scan.backwards = o.backwards[k] != 0;
  }
  return scan;
}

// The kernels of either type under one name.
int64_t forward_scratch(float, const ScanOperands& o) {
  return selective_scan_forward_scratch(o.channels(), o.groups(), o.states());
}
int64_t forward_scratch(double, const ScanOperands& o) {
  return selective_scan_ref_scratch(o.length(), o.states());
}
int64_t backward_scratch(float, const ScanOperands& o) {
  return selective_scan_backward_scratch(o.channels(), o.groups(), o.states());
}
int64_t backward_scratch(double, const ScanOperands& o) {
  return selective_scan_ref_scratch(o.length(), o.states());
}
template <class Input>
void run(const SelectiveScan<float, Input>& scan, const SelectiveScanOutput<float, Input>& output,
         float* scratch) {
  selective_scan_forward(scan, output, scratch);
}
void run(const SelectiveScan<double>& scan, const SelectiveScanOutput<double>& output, double* scratch) {
  selective_scan_forward_ref(scan, output, scratch);
}
template <class Input>
void run(const SelectiveScan<float, Input>& scan, const SelectiveScanGradients<float, Input>& gradients,
         float* scratch) {
  selective_scan_backward(scan, gradients, scratch);
}
void run(const SelectiveScan<double>& scan, const SelectiveScanGradients<double>& gradients,
         double* scratch) {
  selective_scan_backward_ref(scan, gradients, scratch);
}

/// Scratch for every share.
template <class T>
class Scratch {
 public:
  Scratch(const Shares& shares, int64_t size, const ScanOperands& o)
      : memory_(torch::empty({shares.count(), (size + 15) / 16 * 16}, o.A.options())) {}
  T* of(const Share& share) const { return memory_.data_ptr<T>() + share.index * memory_.stride(0); }

 private:
  Tensor memory_;
};

/// (pieces, B, K, C, N): the states that the pieces of every walk start with, or the gradients that they end
/// with; undefined with one piece, which starts (and ends) with zeros.
template <class T, class Input>
Tensor states_between(const Shares& shares, const ScanOperands& o, const Tensor& grad_out) {
  if (shares.pieces == 1) return Tensor();
  const bool backward = grad_out.defined();
  const std::vector<int64_t> sizes{shares.pieces, o.batch(), o.directions(), o.channels(), o.states()};
  const Tensor left = torch::empty(sizes, o.A.options());
  const Tensor step_sums = torch::empty({sizes[0], sizes[1], sizes[2], sizes[3], 1}, o.A.options());
  const Scratch<T> scratch(shares, backward ? backward_scratch(T(), o) : forward_scratch(T(), o), o);
  const int64_t needless = backward ? 0 : shares.pieces - 1;  // nothing comes behind it
  for_walks(shares, o, [&](const Share& share, int64_t b, int64_t k) {
    if (share.piece == needless) return;
    T* state = left[share.piece][b][k].template data_ptr<T>();
    T* sums = step_sums[share.piece][b][k].template data_ptr<T>();
    const SelectiveScan<T, Input> scan = scan_of<T, Input>(o, b, k, share);
    if (!backward) {
      SelectiveScanOutput<T, Input> output;
      output.last_state = state;
      output.step_sums = sums;
      return run(scan, output, scratch.of(share));
    }
    SelectiveScanGradients<T, Input> gradients;
    gradients.grad_out = per_token<T>(grad_out, b, k);
    gradients.grad_out_stride = grad_out.stride(1);
    gradients.z = per_token<Input>(o.z, b, k);
    gradients.z_stride = o.z.defined() ? o.z.stride(1) : 0;
    gradients.first_state = state;
    gradients.step_sums = sums;
    run(scan, gradients, scratch.of(share));
  });
  const Tensor states = torch::zeros(sizes, o.A.options());
  const int64_t towards = backward ? -1 : 1;
  for (int64_t i = backward ? shares.pieces - 1 : 0; i != needless; i += towards)
    states[i + towards].copy_(torch::exp(o.A * step_sums[i]) * states[i] + left[i]);
  return states;
}

template <class T>
const T* state_of(const Tensor& states, const Share& share, int64_t b, int64_t k) {
  return states.defined() ? states[share.piece][b][k].template data_ptr<T>() : nullptr;
}

template <class T, class Input>
ScanResult forward(const ScanOperands& o, bool keep_borders, bool keep_state) {
  const auto options = o.A.options();
  const int64_t K = o.directions();
  ScanResult result;
  result.y = torch::empty({o.batch(), o.length(), o.channels()}, options);
  result.gated = o.z.defined() && keep_borders ? torch::empty_like(result.y) : result.y;
  if (keep_borders) {
    const int64_t chunks = selective_scan_chunks(o.length(), o.states());
    result.borders = torch::empty({o.batch(), K, chunks, o.states(), o.channels()}, options);
  }
  if (keep_state) result.last_state = torch::empty({o.batch(), K, o.channels(), o.states()}, options);

  const Shares shares(o);
  const Tensor first_states = states_between<T, Input>(shares, o, Tensor());
  const Scratch<T> scratch(shares, forward_scratch(T(), o), o);
  for_walks(shares, o, [&](const Share& share, int64_t b, int64_t k) {
    SelectiveScanOutput<T, Input> output;
    output.first_state = state_of<T>(first_states, share, b, k);
    output.y = per_token<T>(result.y, b, k);
    output.y_stride = result.y.stride(1);
    output.accumulate = k > 0;
    if (o.z.defined() && k + 1 == K) {
      output.z = per_token<Input>(o.z, b, k);
      output.z_stride = o.z.stride(1);
      output.gated = per_token<T>(result.gated, b, k);
      output.gated_stride = result.gated.stride(1);
    }
    if (keep_borders) output.borders = result.borders[b][k].template data_ptr<T>();
    if (keep_state && share.piece + 1 == shares.pieces)
      output.last_state = result.last_state[b][k].template data_ptr<T>();
    run(scan_of<T, Input>(o, b, k, share), output, scratch.of(share));
  });
  return result;
}

/// Zeros for one gradient with a leading axis of `copies`, one per share that would collide, or undefined.
Tensor zeros_for(const Tensor& tensor, int64_t copies, const ScanOperands& o) {
  if (!tensor.defined()) return Tensor();
  std::vector<int64_t> sizes = tensor.sizes().vec();
  sizes.insert(sizes.begin(), copies);
  return torch::zeros(sizes, o.A.options());
}
Tensor sum_copies(const Tensor& copies) {
  if (!copies.defined()) return copies;
  return copies.size(0) == 1 ? copies[0] : copies.sum(0);
}

template <class T, class Input>
ScanGradients backward(const ScanOperands& o, const Tensor& grad_out, const Tensor& borders) {
  const Shares shares(o);
  ScanGradients total;
  total.u = torch::empty(o.u.sizes(), o.A.options());
  total.delta = torch::empty(o.delta.sizes(), o.A.options());
  // Batch ranges and pieces collide in what has no batch and token axes, channel ranges in what has no
  // channel axis.
  const auto copies_of = [&](const Tensor& t) {
    return zeros_for(t, t.defined() && t.dim() == 5 ? shares.channels : shares.batches * shares.pieces, o);
  };
  const ScanGradients copies{
      {}, {}, copies_of(o.A), copies_of(o.B), copies_of(o.C), copies_of(o.D), copies_of(o.delta_bias)};
  const Tensor last_states = states_between<T, Input>(shares, o, grad_out);
  const Scratch<T> scratch(shares, backward_scratch(T(), o), o);
  for_walks(shares, o, [&](const Share& share, int64_t b, int64_t k) {
    const auto mine = [&](const Tensor& t) {
      if (!t.defined()) return Tensor();
      return t[t.dim() == 6 ? share.channel_range : share.batch_range * shares.pieces + share.piece];
    };
    const Tensor own_B = mine(copies.B), own_C = mine(copies.C);
    SelectiveScanGradients<T, Input> g;
    g.grad_out = per_token<T>(grad_out, b, k);
    g.grad_out_stride = grad_out.stride(1);
    g.z = per_token<Input>(o.z, b, k);
    g.z_stride = o.z.defined() ? o.z.stride(1) : 0;
    g.last_state = state_of<T>(last_states, share, b, k);
    g.borders = borders[b][k].template data_ptr<T>();
    g.u = per_token<T>(total.u, b, k);
    g.u_stride = total.u.stride(1);
    g.u_accumulate = o.u.dim() == 3 && k > 0;
    g.delta = per_token<T>(total.delta, b, k);
    g.delta_stride = total.delta.stride(1);
    g.A = per_direction<T>(mine(copies.A), k);
    g.B = either<T>(own_B, b, k);
    g.B_stride = either_stride(own_B);
    g.C = either<T>(own_C, b, k);
    g.C_stride = either_stride(own_C);
    g.D = per_direction<T>(mine(copies.D), k);
    g.delta_bias = per_direction<T>(mine(copies.delta_bias), k);
    run(scan_of<T, Input>(o, b, k, share), g, scratch.of(share));
  });
  total.A = sum_copies(copies.A);
  total.B = sum_copies(copies.B);
  total.C = sum_copies(copies.C);
  total.D = sum_copies(copies.D);
  total.delta_bias = sum_copies(copies.delta_bias);
  return total;
}

}  // namespace

std::string why_not_scan_cpu(const ScanCall& call) {
  return call.device.is_cpu() ? std::string() : concat("the operands are on ", call.device);
}

ScanResult scan_forward_cpu(const ScanOperands& o, bool keep_borders, bool keep_state) {
  if (o.u.scalar_type() == torch::kDouble) return forward<double, double>(o, keep_borders, keep_state);
  if (o.u.scalar_type() == torch::kBFloat16) return forward<float, Bfloat16>(o, keep_borders, keep_state);
  return forward<float, float>(o, keep_borders, keep_state);
}

ScanGradients scan_backward_cpu(const ScanOperands& o, const Tensor& grad_out, const Tensor& borders) {
  if (o.u.scalar_type() == torch::kDouble) return backward<double, double>(o, grad_out, borders);
  if (o.u.scalar_type() == torch::kBFloat16) return backward<float, Bfloat16>(o, grad_out, borders);
  return backward<float, float>(o, grad_out, borders);
}

}  // namespace mambaseg
