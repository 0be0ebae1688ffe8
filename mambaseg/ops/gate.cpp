#include "mambaseg/ops/gate.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <algorithm>

#include "mambaseg/kernels/curves.h"
#include "mambaseg/ops/channels_last.h"

namespace mambaseg {
namespace {

using torch::Tensor;

constexpr int64_t kNumbersInOneCall = 8192;

torch::optional<Curve> curve_of(Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return Curve::gelu;
    case Activation::silu:
      return Curve::silu;
    case Activation::sigmoid:
      return Curve::sigmoid;
    default:
      return {};
  }
}

/// Whether the kernels multiply these; `value` may be undefined.
bool fits(const Tensor& value, const Tensor& gate) {
  if (!fits_kernels(gate) || gate.numel() == 0) return false;
  return !value.defined() ||
         (fits_kernels(value) && value.sizes() == gate.sizes() &&
          (value.scalar_type() == gate.scalar_type() || value.scalar_type() == torch::kFloat));
}

/// Whether all but the last axis lie evenly, the last contiguous: rows of a wider tensor.
bool has_even_rows(const Tensor& x) {
  if (x.dim() < 2 || x.stride(-1) != 1) return false;
  int64_t expected = 0;  // none yet
  for (int64_t axis = x.dim() - 2; axis >= 0; --axis) {
    if (x.size(axis) == 1) continue;
    if (expected != 0 && x.stride(axis) != expected) return false;
    expected = x.stride(axis) * x.size(axis);
  }
  return expected > 0;
}

/// How the kernels read a gate, and how all that belongs to it must lie.
struct Layout {
  Tensor gate;
  CurveRows rows;
  bool whole;  ///< all lie in memory as the gate does; else all but the gate are contiguous

  explicit Layout(const Tensor& given) : gate(given), whole(given.is_non_overlapping_and_dense()) {
    if (!whole && !has_even_rows(gate)) {
      gate = gate.contiguous();
      whole = true;
    }
    if (whole) {
      rows = {1, gate.numel(), 0};
      return;
    }
    int64_t axis = gate.dim() - 2;
    while (gate.size(axis) == 1) --axis;
    rows = {gate.numel() / gate.size(-1), gate.size(-1), gate.stride(axis)};
  }

  Tensor empty(torch::ScalarType type) const {
    return whole ? torch::empty_like(gate, type) : torch::empty(gate.sizes(), gate.options().dtype(type));
  }
  /// `t` of this type as the kernels read it.
  Tensor laid_out(const Tensor& t, torch::ScalarType type) const {
    if (!t.defined()) return t;
    if (!whole) return t.to(type).contiguous();
    if (t.scalar_type() == type && t.strides() == gate.strides()) return t;
    return empty(type).copy_(t);
  }
  /// of(rows, where those begin in the gate, and in all else), on all threads.
  template <class Function>
  void share(Function of) const {
    if (rows.rows == 1)
      return at::parallel_for(0, rows.channels, kNumbersInOneCall, [&](int64_t first, int64_t last) {
        of(CurveRows{1, last - first, 0}, first, first);
      });
    const int64_t together = std::max<int64_t>(1, kNumbersInOneCall / rows.channels);
    at::parallel_for(0, rows.rows, together, [&](int64_t first, int64_t last) {
      of(CurveRows{last - first, rows.channels, rows.stride}, first * rows.stride, first * rows.channels);
    });
  }
};

template <class T>
T* numbers(const Tensor& t, int64_t at) {
  return t.defined() ? static_cast<T*>(t.data_ptr()) + at : nullptr;
}

/// of(X(), Y()) with the types of the gate and of all else.
template <class Function>
void with_types(torch::ScalarType gate, torch::ScalarType value, Function of) {
  if (gate == torch::kFloat) return of(float(), float());
  value == torch::kFloat ? of(Bfloat16(), float()) : of(Bfloat16(), Bfloat16());
}

/// To `y`, which lies as the layout has it.
void multiply(Curve curve, const Layout& layout, const Tensor& factor, const Tensor& y) {
  with_types(layout.gate.scalar_type(), y.scalar_type(), [&]<class X, class Y>(X, Y) {
    layout.share([&](const CurveRows& rows, int64_t of_gate, int64_t at) {
      curve_values(curve, rows, numbers<const X>(layout.gate, of_gate), numbers<const Y>(factor, at),
                   numbers<Y>(y, at));
    });
  });
}

Tensor product(Curve curve, const Tensor& value, const Tensor& gate) {
  const auto type = value.defined() ? value.scalar_type() : gate.scalar_type();
  const Layout layout(gate);
  const Tensor y = layout.empty(type);
  multiply(curve, layout, layout.laid_out(value, type), y);
  return y;
}

/// Of gate and, if asked for, of value.
std::pair<Tensor, Tensor> gradients(Curve curve, const Tensor& dy, const Tensor& value, const Tensor& gate,
                                    bool of_value) {
  const auto type = value.defined() ? value.scalar_type() : gate.scalar_type();
  const Layout layout(gate);
  const Tensor given = layout.laid_out(dy, type), factor = layout.laid_out(value, type),
               dgate = layout.empty(gate.scalar_type()), dvalue = of_value ? layout.empty(type) : Tensor();
  with_types(gate.scalar_type(), type, [&]<class X, class Y>(X, Y) {
    layout.share([&](const CurveRows& rows, int64_t of_gate, int64_t at) {
      curve_gradient(curve, rows, numbers<const X>(layout.gate, of_gate), numbers<const Y>(factor, at),
                     numbers<const Y>(given, at), numbers<X>(dgate, at), numbers<Y>(dvalue, at));
    });
  });
  return {dgate, dvalue};
}

class GateFunction : public torch::autograd::Function<GateFunction> {
 public:
  /// `value` is empty when there is none: autograd functions of LibTorch 1.13 take no undefined tensors.
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& value, const Tensor& gate,
                        Curve curve) {
    const Tensor factor = value.numel() > 0 ? value : Tensor();
    ctx->save_for_backward({factor, gate});
    ctx->saved_data["curve"] = static_cast<int64_t>(curve);
    return product(curve, factor, gate);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list of_result) {
    const auto saved = ctx->get_saved_variables();
    const auto curve = static_cast<Curve>(ctx->saved_data["curve"].toInt());
    const auto [dgate, dvalue] = gradients(curve, of_result[0], saved[0], saved[1], saved[0].defined());
    return {dvalue, dgate, Tensor()};
  }
};

}  // namespace

Tensor gated(const Tensor& value, const Tensor& gate, Activation activation) {
  const auto curve = curve_of(activation);
  if (!curve || !fits(value, gate)) {
    const Tensor share = activate(gate, activation);
    return value.defined() ? value * share : share;
  }
  if (!needs_gradient({value, gate})) return product(*curve, value, gate);
  const Tensor none = value.defined() ? value : torch::empty({0}, gate.options().requires_grad(false));
  return GateFunction::apply(none, gate, *curve);
}

void activate_in_place(Tensor& y, Activation activation) {
  const auto curve = curve_of(activation);
  if (!curve || !fits({}, y) || !y.is_non_overlapping_and_dense()) {
    y.copy_(activate(y, activation));
    return;
  }
  multiply(*curve, Layout(y), {}, y);
}

Tensor gate_gradient(const Tensor& dy, const Tensor& value, const Tensor& gate, Activation activation) {
  if (const auto curve = curve_of(activation); curve && fits(value, gate))
    return gradients(*curve, dy, value, gate, false).first;
  const Tensor of_share = value.defined() ? dy * value : dy;
  const torch::AutoGradMode recorded(true);
  const Tensor leaf = gate.detach().to(of_share.scalar_type()).requires_grad_();
  return torch::autograd::grad({activate(leaf, activation)}, {leaf}, {of_share})[0].to(gate.scalar_type());
}

}  // namespace mambaseg
