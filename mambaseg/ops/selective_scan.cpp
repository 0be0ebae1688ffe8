#include "mambaseg/ops/selective_scan.h"

#include <torch/autograd.h>

#include "mambaseg/ops/gate.h"
#include "mambaseg/ops/implementation.h"
#include "mambaseg/ops/operation_counter.h"
#include "mambaseg/ops/selective_scan_operands.h"

namespace mambaseg {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Autograd functions of LibTorch 1.13 take no undefined tensors: an empty one stands for an operand that is
// absent.
Tensor given(const Tensor& tensor) { return tensor.numel() > 0 ? tensor : Tensor(); }
Tensor or_empty(const Tensor& tensor, const Tensor& like) {
  return tensor.defined() ? tensor : torch::empty({0}, like.options().requires_grad(false));
}

/// u, delta and z come and are kept in their own types: what a wider one would hold is as good made again.
class SelectiveScanFunction : public torch::autograd::Function<SelectiveScanFunction> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& u, const Tensor& delta, const Tensor& A,
                        const Tensor& B, const Tensor& C, const Tensor& D, const Tensor& z,
                        const Tensor& delta_bias, const ScanOperands& rest, const ScanImplementation& by,
                        torch::ScalarType type, bool need_gradient, Tensor* last_state) {
    const Tensor gate = given(z);
    const ScanOperands o{u.to(type),
                         delta.to(type),
                         A,
                         B,
                         C,
                         given(D),
                         gate.defined() ? gate.to(type) : gate,
                         given(delta_bias),
                         rest.delta_softplus,
                         rest.index_TL,
                         rest.table,
                         rest.backwards};
    const ScanResult result = by.forward(o, need_gradient, last_state);
    if (last_state) *last_state = result.last_state;
    if (need_gradient) {
      // The gradient of z is no finer than z.
      const Tensor y = gate.defined() ? result.y.to(gate.scalar_type()) : gate;
      ctx->save_for_backward({u, delta, A, B, C, o.D, gate, o.delta_bias, rest.index_TL, result.borders, y});
      ctx->saved_data["implementation"] = &by - kScanImplementations;
      ctx->saved_data["delta_softplus"] = o.delta_softplus;
      ctx->saved_data["table"] = o.table;
      ctx->saved_data["backwards"] = o.backwards;
    }
    return result.gated;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &z = saved[6], &B = saved[3];
    const torch::ScalarType type = B.scalar_type();
    const ScanOperands o{saved[0].to(type),
                         saved[1].to(type),
                         saved[2],
                         B,
                         saved[4],
                         saved[5],
                         z.defined() ? z.to(type) : z,
                         saved[7],
                         ctx->saved_data["delta_softplus"].toBool(),
                         saved[8],
                         ctx->saved_data["table"].toIntVector(),
                         ctx->saved_data["backwards"].toIntVector()};
    const Tensor& borders = saved[9];
    const Tensor& y = saved[10];

    Tensor grad_out = grad_outputs[0];
    if (grad_out.stride(2) != 1) grad_out = grad_out.contiguous();
    const ScanImplementation& by = kScanImplementations[ctx->saved_data["implementation"].toInt()];
    const ScanGradients g = by.backward(o, grad_out, borders);
    const Tensor grad_z = z.defined() ? gate_gradient(grad_out, y.to(type), z, Activation::silu) : Tensor();
    return {g.u,          g.delta,  g.A,      g.B,      g.C,      g.D,     grad_z,
            g.delta_bias, Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

void check_sizes(const char* name, const Tensor& tensor, std::vector<int64_t> expected) {
  TORCH_CHECK(tensor.sizes() == torch::IntArrayRef(expected), "selective_scan: ", name, ": expected size ",
              torch::IntArrayRef(expected), ", got ", tensor.sizes());
}

void check(const SelectiveScanInputs& in, const ScanTables* tables) {
  TORCH_CHECK(in.delta.defined() && in.delta.dim() == 4, "selective_scan: delta: expected (B, L, K, C)");
  TORCH_CHECK(in.A.defined() && in.A.dim() == 3, "selective_scan: A: expected (K, C, N)");
  TORCH_CHECK(in.u.defined() && in.B.defined() && in.C.defined(), "selective_scan: u, B and C are needed");
  const int64_t batch = in.delta.size(0), length = in.delta.size(1), K = in.delta.size(2),
                channels = in.delta.size(3);
  const int64_t N = in.A.size(2);
  TORCH_CHECK(batch > 0 && length > 0 && K > 0 && channels > 0 && N > 0,
              "selective_scan: expected no empty axis, got ", "delta ", in.delta.sizes(), ", A ",
              in.A.sizes());
  check_sizes("A", in.A, {K, channels, N});
  if (in.u.dim() == 4) {
    check_sizes("u", in.u, {batch, length, K, channels});
  } else {
    check_sizes("u", in.u, {batch, length, channels});
  }
  const auto check_either = [&](const char* name, const Tensor& t) {
    if (t.dim() != 5) return check_sizes(name, t, {K, channels, N});
    check_sizes(name, t, {batch, length, K, t.size(3), N});
    TORCH_CHECK(t.size(3) > 0 && channels % t.size(3) == 0, "selective_scan: ", name,
                ": expected groups that divide ", channels, " channels, got ", t.size(3));
  };
  check_either("B", in.B);
  check_either("C", in.C);
  TORCH_CHECK(in.B.dim() != 5 || in.C.dim() != 5 || in.B.size(3) == in.C.size(3),
              "selective_scan: B and C: expected one number of groups, got ", in.B.sizes(), " and ",
              in.C.sizes());
  if (in.D.defined()) check_sizes("D", in.D, {K, channels});
  if (in.z.defined()) check_sizes("z", in.z, {batch, length, channels});
  if (in.delta_bias.defined()) check_sizes("delta_bias", in.delta_bias, {K, channels});
  for (const Tensor* t : {&in.u, &in.delta, &in.A, &in.B, &in.C, &in.D, &in.z, &in.delta_bias}) {
    TORCH_CHECK(!t->defined() || t->device() == in.u.device(),
                "selective_scan: expected tensors on one device, got one on ", t->device(), " beside u on ",
                in.u.device());
    TORCH_CHECK(!t->defined() || torch::isFloatingType(t->scalar_type()),
                "selective_scan: expected real floating-point tensors, got ", t->scalar_type());
  }
  if (tables) {
    TORCH_CHECK(tables->directions() == K && tables->backwards.size() == tables->table.size(),
                "selective_scan: expected ", K, " walks, got ", tables->directions());
    TORCH_CHECK(tables->index_TL.dim() == 2 && tables->index_TL.size(1) == length,
                "selective_scan: expected walks over ", length, " tokens, got ", tables->index_TL.sizes());
    TORCH_CHECK(tables->index_TL.device() == in.u.device(), "selective_scan: expected walks on ",
                in.u.device(), " as u, got them on ", tables->index_TL.device());
  } else {
    TORCH_CHECK(K == 1, "selective_scan: expected one direction without walks, got ", K);
  }
}

}  // namespace

const ScanImplementation kScanImplementations[3] = {
    {"CUDA kernel", why_not_scan_cuda, scan_forward_cuda, scan_backward_cuda},
    {"CPU kernel", why_not_scan_cpu, scan_forward_cpu, scan_backward_cpu},
    {"LibTorch", [](const ScanCall&) { return std::string(); }, scan_forward_libtorch,
     scan_backward_libtorch}};

Tensor selective_scan(const SelectiveScanInputs& in, const ScanTables* tables, Tensor* last_state) {
  check(in, tables);
  if (OperationCounter* counter = OperationCounter::active()) {
    counter->add(0, in.delta.numel() * in.A.size(2));
    if (last_state)
      *last_state =
          torch::zeros({in.delta.size(0), in.A.size(0), in.A.size(1), in.A.size(2)}, in.A.options());
    return torch::zeros({in.delta.size(0), in.delta.size(1), in.delta.size(3)},
                        in.u.options().dtype(in.type.value_or(in.u.scalar_type())));
  }
  const ScanCall call{in.u.device(), in.u.scalar_type(), in.B.dim() != 5 || in.C.dim() != 5, in.A.size(2)};
  return selective_scan_by(choose("selective_scan", kScanImplementations, call), in, tables, last_state);
}

Tensor selective_scan_by(const ScanImplementation& by, const SelectiveScanInputs& in,
                         const ScanTables* tables, Tensor* last_state) {
  const torch::Dtype state_type = in.u.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  torch::Dtype type = torch::kBFloat16;  // only where all that comes per token has it
  for (const Tensor* t : {&in.u, &in.delta, &in.B, &in.C, &in.z}) {
    if (t->defined() && t->scalar_type() != torch::kBFloat16) type = state_type;
  }
  const auto rows = [&](const Tensor& t) {  // channels contiguous
    return !t.defined() || t.stride(-1) == 1 ? t : t.contiguous();
  };
  const auto all = [&](const Tensor& t) { return t.defined() ? t.to(state_type).contiguous() : t; };
  // A token stride of 0 would read as "the same for every token".
  const auto either_rows = [&](const Tensor& t) {  // groups and states contiguous
    if (t.dim() != 5) return t.to(type).contiguous();
    const Tensor converted = rows(t.to(type));
    const bool fits =
        converted.stride(1) != 0 && (converted.size(3) == 1 || converted.stride(3) == converted.size(4));
    return fits ? converted : converted.contiguous();
  };

  ScanOperands rest;
  rest.delta_softplus = in.delta_softplus;
  if (tables) {
    rest.index_TL = tables->index_TL.contiguous();
    rest.table.assign(tables->table.begin(), tables->table.end());
    rest.backwards.assign(tables->backwards.begin(), tables->backwards.end());
  }
  bool need_gradient = false;
  for (const Tensor* t : {&in.u, &in.delta, &in.A, &in.B, &in.C, &in.D, &in.z, &in.delta_bias}) {
    need_gradient |= torch::GradMode::is_enabled() && t->defined() && t->requires_grad();
  }
  const Tensor u = rows(in.u);
  return SelectiveScanFunction::apply(u, rows(in.delta), all(in.A), either_rows(in.B), either_rows(in.C),
                                      or_empty(all(in.D), u), or_empty(rows(in.z), u),
                                      or_empty(all(in.delta_bias), u), rest, by, type, need_gradient,
                                      last_state)
      .to(in.type.value_or(in.u.scalar_type()));
}

}  // namespace mambaseg
