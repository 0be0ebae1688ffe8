// The selective scan on the GPU: directions side by side, as many as scratch memory allows, on LibTorch's
// stream.

#include "mambaseg/kernels/selective_scan_cuda.h"

#include <c10/core/DeviceGuard.h>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/cuda_stream.h"
#include "mambaseg/ops/selective_scan_operands.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// From direction k on, of a (B, L, C), (B, L, K, C) or (B, L, K, G, N) tensor; no rows when it is undefined.
template <class T>
TokenRows<T> rows(const Tensor& t, int64_t k) {
  if (!t.defined()) return {};
  return {per_token<std::remove_const_t<T>>(t, 0, k), t.stride(0), t.dim() > 3 ? t.stride(2) : 0,
          t.stride(1)};
}

/// Some neighbouring directions.
struct Directions {
  int64_t first, count;
};

template <class Input>
SelectiveScanCuda<Input> scan_of(const ScanOperands& o, const Directions& of) {
  SelectiveScanCuda<Input> scan;
  scan.batch = o.batch();
  scan.directions = of.count;
  scan.length = o.length();
  scan.channels = o.channels();
  scan.states = o.states();
  scan.groups = o.groups();
  scan.u = rows<const Input>(o.u, of.first);
  scan.shared_u = o.u.dim() == 3;
  scan.delta = rows<const Input>(o.delta, of.first);
  scan.B = rows<const Input>(o.B, of.first);
  scan.C = rows<const Input>(o.C, of.first);
  scan.A = per_direction<float>(o.A, of.first);
  scan.D = per_direction<float>(o.D, of.first);
  scan.delta_bias = per_direction<float>(o.delta_bias, of.first);
  scan.delta_softplus = o.delta_softplus;
  for (int64_t i = 0; i < of.count && o.index_TL.defined(); ++i)
    scan.walks[i] = {o.index_TL.data_ptr<int32_t>() + o.table[of.first + i] * o.index_TL.stride(0),
                     o.backwards[of.first + i] != 0};
  return scan;
}

/// The directions in groups, one after the other, of directions side by side.
struct DirectionGroups {
  int64_t directions, count;

  DirectionGroups(const ScanOperands& o, int64_t floats_a_direction)
      : directions(o.directions()), count(scan_direction_groups(directions, floats_a_direction)) {}
  int64_t largest() const { return (directions + count - 1) / count; }
  template <class Function>
  void for_each(Function run) const {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = directions * i / count;
      run(Directions{first, directions * (i + 1) / count - first});
    }
  }
};

/// What the forward pass leaves of every direction: the states before every chunk, the sums of its steps.
struct Borders {
  Tensor all;            ///< (K, B, chunks, C, N), then (K, B, chunks, C), in a row
  int64_t states, sums;  ///< of one direction

  explicit Borders(const ScanOperands& o)
      : states(o.batch() * chunks(o) * o.channels() * o.states()), sums(states / o.states()) {}
  static int64_t chunks(const ScanOperands& o) { return (o.length() + kCudaScanChunk - 1) / kCudaScanChunk; }
  int64_t size() const { return states + sums; }
  int64_t directions() const { return all.numel() / size(); }
  float* states_of(int64_t k) const { return all.data_ptr<float>() + k * states; }
  float* sums_of(int64_t k) const { return states_of(directions()) + k * sums; }
};

template <class Input>
ScanResult forward(const ScanOperands& o, bool keep_borders, bool keep_state) {
  const auto options = o.A.options();
  const int64_t K = o.directions(), outputs = o.batch() * o.length() * o.channels();
  ScanResult result;
  result.y = torch::empty({o.batch(), o.length(), o.channels()}, options);
  result.gated = o.z.defined() && keep_borders ? torch::empty_like(result.y) : result.y;
  if (keep_state) result.last_state = torch::empty({o.batch(), K, o.channels(), o.states()}, options);
  Borders borders(o);
  // Without a backward pass the borders of one group serve the next as well.
  const DirectionGroups groups(o, outputs + (keep_borders ? 0 : borders.size()));
  borders.all = torch::empty({(keep_borders ? K : groups.largest()) * borders.size()}, options);
  if (keep_borders) result.borders = borders.all;
  const Tensor parts = K > 1 ? torch::empty({groups.largest() * outputs}, options) : Tensor();
  const c10::DeviceGuard guard(o.u.device());
  void* stream = current_cuda_stream(o.u.device());
  groups.for_each([&](const Directions& of) {
    SelectiveScanCudaOutput<Input> output;
    output.y = rows<float>(result.y, 0);
    output.accumulate = of.first > 0;
    if (of.first + of.count == K) {
      output.z = rows<const Input>(o.z, 0);
      output.gated = rows<float>(result.gated, 0);
    }
    if (keep_state) {
      output.last_state = result.last_state.data_ptr<float>() + of.first * result.last_state.stride(1);
      output.last_state_batch_stride = result.last_state.stride(0);
    }
    output.borders = borders.states_of(keep_borders ? of.first : 0);
    output.step_sums = borders.sums_of(keep_borders ? of.first : 0);
    output.parts = of.count > 1 ? parts.data_ptr<float>() : nullptr;
    selective_scan_forward_cuda(scan_of<Input>(o, of), output, stream);
  });
  check_cuda_launches();
  return result;
}

template <class Input>
ScanGradients backward(const ScanOperands& o, const Tensor& grad_out, const Tensor& kept) {
  Borders borders(o);
  borders.all = kept;
  const auto options = o.A.options();
  const auto like = [&](const Tensor& t) { return t.defined() ? torch::empty(t.sizes(), options) : t; };
  const ScanGradients total{like(o.u), like(o.delta), like(o.A),         like(o.B),
                            like(o.C), like(o.D),     like(o.delta_bias)};
  const c10::DeviceGuard guard(o.u.device());
  void* stream = current_cuda_stream(o.u.device());
  const auto scratch_of = [&](int64_t directions) {
    return selective_scan_cuda_scratch(scan_of<Input>(o, {0, directions}));
  };
  const int64_t two = std::min<int64_t>(2, o.directions());
  const DirectionGroups groups(o, scratch_of(two) / two);
  const Tensor scratch = torch::empty({scratch_of(groups.largest())}, options);
  groups.for_each([&](const Directions& of) {
    const SelectiveScanCuda<Input> scan = scan_of<Input>(o, of);
    SelectiveScanCudaGradients<Input> g;
    g.grad_out = rows<const float>(grad_out, 0);
    g.z = rows<const Input>(o.z, 0);
    g.borders = borders.states_of(of.first);
    g.step_sums = borders.sums_of(of.first);
    g.u = rows<float>(total.u, of.first);
    g.u_accumulate = o.u.dim() == 3 && of.first > 0;
    g.delta = rows<float>(total.delta, of.first);
    g.B = rows<float>(total.B, of.first);
    g.C = rows<float>(total.C, of.first);
    g.A = per_direction<float>(total.A, of.first);
    g.D = per_direction<float>(total.D, of.first);
    g.delta_bias = per_direction<float>(total.delta_bias, of.first);
    g.scratch = scratch.data_ptr<float>();
    selective_scan_backward_cuda(scan, g, stream);
  });
  check_cuda_launches();
  return total;
}

}  // namespace

int64_t scan_direction_groups(int64_t directions, int64_t floats_a_direction) {
  const int64_t fit = std::clamp<int64_t>(kMostScanScratch / floats_a_direction, 1, kMostCudaDirections);
  return (directions + fit - 1) / fit;
}

std::string why_not_scan_cuda(const ScanCall& call) {
  if (!call.device.is_cuda()) return concat("the operands are on ", call.device);
  if (!call.cuda_kernels) return "this program was built without CUDA kernels";
  if (call.type == torch::kDouble) return "the kernel computes no double";
  if (call.constant_states) return "the kernel takes no B or C that is the same for all tokens";
  if (call.states > kMostCudaStates)
    return concat("the kernel takes at most ", kMostCudaStates, " states, not ", call.states);
  return {};
}

ScanResult scan_forward_cuda(const ScanOperands& o, bool keep_borders, bool keep_state) {
  if (o.u.scalar_type() == torch::kBFloat16) return forward<Bfloat16>(o, keep_borders, keep_state);
  return forward<float>(o, keep_borders, keep_state);
}

ScanGradients scan_backward_cuda(const ScanOperands& o, const Tensor& grad_out, const Tensor& borders) {
  if (o.u.scalar_type() == torch::kBFloat16) return backward<Bfloat16>(o, grad_out, borders);
  return backward<float>(o, grad_out, borders);
}

}  // namespace mambaseg
