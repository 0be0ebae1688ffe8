// The selective scan on the GPU: the directions one after the other on LibTorch's stream.

#include "mambaseg/kernels/selective_scan_cuda.h"

#include <c10/core/DeviceGuard.h>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/cuda_stream.h"
#include "mambaseg/ops/selective_scan_operands.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// Direction k of a (B, L, C), (B, L, K, C) or (B, L, K, G, N) tensor; no rows when it is undefined.
template <class T>
TokenRows<T> rows(const Tensor& t, int64_t k) {
  if (!t.defined()) return {};
  return {per_token<std::remove_const_t<T>>(t, 0, k), t.stride(0), t.stride(1)};
}

template <class Input>
SelectiveScanCuda<Input> scan_of(const ScanOperands& o, int64_t k) {
  SelectiveScanCuda<Input> scan;
  scan.batch = o.batch();
  scan.length = o.length();
  scan.channels = o.channels();
  scan.states = o.states();
  scan.groups = o.groups();
  scan.u = rows<const Input>(o.u, k);
  scan.delta = rows<const Input>(o.delta, k);
  scan.B = rows<const Input>(o.B, k);
  scan.C = rows<const Input>(o.C, k);
  scan.A = per_direction<float>(o.A, k);
  scan.D = per_direction<float>(o.D, k);
  scan.delta_bias = per_direction<float>(o.delta_bias, k);
  scan.delta_softplus = o.delta_softplus;
  if (o.index_TL.defined()) {
    scan.order = o.index_TL.data_ptr<int32_t>() + o.table[k] * o.index_TL.stride(0);
    scan.backwards = o.backwards[k] != 0;
  }
  return scan;
}

/// (K, B, chunks, N + 1, C): per direction the states before every chunk, then the sums of its steps.
struct Borders {
  Tensor all;
  float* states(int64_t k) const { return all[k].data_ptr<float>(); }
  float* step_sums(int64_t k) const {
    return states(k) + all.size(1) * all.size(2) * all.size(4) * (all.size(3) - 1);
  }
};

template <class Input>
ScanResult forward(const ScanOperands& o, bool keep_borders, bool keep_state) {
  const auto options = o.A.options();
  const int64_t K = o.directions(), chunks = (o.length() + kCudaScanChunk - 1) / kCudaScanChunk;
  ScanResult result;
  result.y = torch::empty({o.batch(), o.length(), o.channels()}, options);
  result.gated = o.z.defined() && keep_borders ? torch::empty_like(result.y) : result.y;
  // Without a backward pass one direction's borders serve the next as well.
  const Borders borders{
      torch::empty({keep_borders ? K : 1, o.batch(), chunks, o.states() + 1, o.channels()}, options)};
  if (keep_borders) result.borders = borders.all;
  if (keep_state) result.last_state = torch::empty({o.batch(), K, o.channels(), o.states()}, options);
  const c10::DeviceGuard guard(o.u.device());
  void* stream = current_cuda_stream(o.u.device());
  for (int64_t k = 0; k < K; ++k) {
    SelectiveScanCudaOutput<Input> output;
    output.y = rows<float>(result.y, k);
    output.accumulate = k > 0;
    if (k + 1 == K) {
      output.z = rows<const Input>(o.z, k);
      output.gated = rows<float>(result.gated, k);
    }
    if (keep_state) {
      output.last_state = result.last_state.data_ptr<float>() + k * result.last_state.stride(1);
      output.last_state_batch_stride = result.last_state.stride(0);
    }
    output.borders = borders.states(keep_borders ? k : 0);
    output.step_sums = borders.step_sums(keep_borders ? k : 0);
    selective_scan_forward_cuda(scan_of<Input>(o, k), output, stream);
  }
  check_cuda_launches();
  return result;
}

template <class Input>
ScanGradients backward(const ScanOperands& o, const Tensor& grad_out, const Tensor& kept) {
  const Borders borders{kept};
  const auto options = o.A.options();
  const auto zeros = [&](const Tensor& t) { return t.defined() ? torch::zeros(t.sizes(), options) : t; };
  ScanGradients total;
  total.u = torch::empty(o.u.sizes(), options);
  total.delta = torch::empty(o.delta.sizes(), options);
  total.B = torch::empty(o.B.sizes(), options);
  total.C = torch::empty(o.C.sizes(), options);
  total.A = zeros(o.A);
  total.D = zeros(o.D);
  total.delta_bias = zeros(o.delta_bias);
  const Tensor scratch = torch::empty(
      {selective_scan_cuda_scratch(o.batch(), o.length(), o.channels(), o.states(), o.groups())}, options);
  const c10::DeviceGuard guard(o.u.device());
  void* stream = current_cuda_stream(o.u.device());
  for (int64_t k = 0; k < o.directions(); ++k) {
    SelectiveScanCudaGradients<Input> g;
    g.grad_out = rows<const float>(grad_out, k);
    g.z = rows<const Input>(o.z, k);
    g.borders = borders.states(k);
    g.step_sums = borders.step_sums(k);
    g.u = rows<float>(total.u, k);
    g.u_accumulate = o.u.dim() == 3 && k > 0;
    g.delta = rows<float>(total.delta, k);
    g.B = rows<float>(total.B, k);
    g.C = rows<float>(total.C, k);
    g.A = per_direction<float>(total.A, k);
    g.D = per_direction<float>(total.D, k);
    g.delta_bias = per_direction<float>(total.delta_bias, k);
    g.scratch = scratch.data_ptr<float>();
    selective_scan_backward_cuda(scan_of<Input>(o, k), g, stream);
  }
  check_cuda_launches();
  return total;
}

}  // namespace

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
