// All convolutions and matrix products of a network, our layers' under PlainLibTorchGuard as well as
// LibTorch's own, go through LibTorch's dispatcher, which asks the keys of the calling thread first. One of
// those that LibTorch leaves to its users takes the few products there are; everything else falls through.

#include "mambaseg/ops/operation_counter.h"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include "mambaseg/ops/plain_libtorch.h"

namespace mambaseg {
namespace {

using torch::IntArrayRef;
using torch::Tensor;

thread_local OperationCounter* counter_here = nullptr;

constexpr c10::DispatchKey kCounting = c10::DispatchKey::TESTING_ONLY_GenericMode;

/// The result that nobody computed, of `terms` products summed for each number.
Tensor counted(std::vector<int64_t> sizes, int64_t terms, const Tensor& like) {
  const Tensor zeros = torch::zeros(sizes, like.options());
  if (counter_here) counter_here->add(zeros.numel() * terms, 0);
  return zeros;
}

/// What stands in for LibTorch's operators, under their names.
class StandIn {
 public:
  static Tensor convolution(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>&,
                            IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation, bool transposed,
                            IntArrayRef output_padding, int64_t groups) {
    const auto axes = static_cast<size_t>(weight.dim()) - 2;
    const auto of = [](IntArrayRef numbers, size_t axis) {  // one number stands for all axes
      return numbers.size() == 1 ? numbers[0] : numbers[axis];
    };
    std::vector<int64_t> sizes{x.size(0), transposed ? weight.size(1) * groups : weight.size(0)};
    int64_t taps = 1;
    for (size_t axis = 0; axis < axes; ++axis) {
      const auto at = static_cast<int64_t>(axis) + 2;
      const int64_t edge = weight.size(at), reach = of(dilation, axis) * (edge - 1) + 1;
      taps *= edge;
      sizes.push_back(transposed ? (x.size(at) - 1) * of(stride, axis) - 2 * of(padding, axis) + reach +
                                       of(output_padding, axis)
                                 : (x.size(at) + 2 * of(padding, axis) - reach) / of(stride, axis) + 1);
    }
    if (!transposed) return counted(sizes, weight.size(1) * taps, x);
    // Each number of the input goes into all taps of its group.
    if (counter_here) counter_here->add(x.numel() * weight.size(1) * taps, 0);
    return torch::zeros(sizes, x.options());
  }

  static Tensor mm(const Tensor& a, const Tensor& b) { return counted({a.size(0), b.size(1)}, a.size(1), a); }
  static Tensor bmm(const Tensor& a, const Tensor& b) {
    return counted({a.size(0), a.size(1), b.size(2)}, a.size(2), a);
  }
  static Tensor mv(const Tensor& a, const Tensor& b) { return counted({a.size(0)}, b.size(0), a); }
  static Tensor dot(const Tensor& a, const Tensor& b) { return counted({}, b.size(0), a); }
  static Tensor addmm(const Tensor&, const Tensor& a, const Tensor& b, const torch::Scalar&,
                      const torch::Scalar&) {
    return mm(a, b);
  }
  static Tensor baddbmm(const Tensor&, const Tensor& a, const Tensor& b, const torch::Scalar&,
                        const torch::Scalar&) {
    return bmm(a, b);
  }
  static Tensor addmv(const Tensor&, const Tensor& a, const Tensor& b, const torch::Scalar&,
                      const torch::Scalar&) {
    return mv(a, b);
  }

  static Tensor& mm_out(const Tensor& a, const Tensor& b, Tensor& out) { return into(out, mm(a, b)); }
  static Tensor& bmm_out(const Tensor& a, const Tensor& b, Tensor& out) { return into(out, bmm(a, b)); }
  static Tensor& mv_out(const Tensor& a, const Tensor& b, Tensor& out) { return into(out, mv(a, b)); }
  static Tensor& addmm_out(const Tensor&, const Tensor& a, const Tensor& b, const torch::Scalar&,
                           const torch::Scalar&, Tensor& out) {
    return into(out, mm(a, b));
  }
  static Tensor& baddbmm_out(const Tensor&, const Tensor& a, const Tensor& b, const torch::Scalar&,
                             const torch::Scalar&, Tensor& out) {
    return into(out, bmm(a, b));
  }
  static Tensor& addmm_(Tensor& self, const Tensor& a, const Tensor& b, const torch::Scalar&,
                        const torch::Scalar&) {
    return into(self, mm(a, b));
  }
  static Tensor& baddbmm_(Tensor& self, const Tensor& a, const Tensor& b, const torch::Scalar&,
                          const torch::Scalar&) {
    return into(self, bmm(a, b));
  }

 private:
  static Tensor& into(Tensor& out, const Tensor& zeros) {
    out.resize_(zeros.sizes());
    return out.zero_();
  }
};

/// Once, and only where something is counted: a process may hold this code twice, in two extensions of
/// Python, and LibTorch takes one of them.
void register_stand_ins() {
  constexpr auto key = c10::DispatchKey::TESTING_ONLY_GenericMode;
  static torch::Library all(torch::Library::IMPL, "_", key, __FILE__, __LINE__);
  static torch::Library m(torch::Library::IMPL, "aten", key, __FILE__, __LINE__);
  static const bool once = [] {
    all.fallback(torch::CppFunction::makeFallthrough());
    m.impl("convolution", TORCH_FN(StandIn::convolution));
    m.impl("mm", TORCH_FN(StandIn::mm));
    m.impl("bmm", TORCH_FN(StandIn::bmm));
    m.impl("mv", TORCH_FN(StandIn::mv));
    m.impl("dot", TORCH_FN(StandIn::dot));
    m.impl("addmm", TORCH_FN(StandIn::addmm));
    m.impl("baddbmm", TORCH_FN(StandIn::baddbmm));
    m.impl("addmv", TORCH_FN(StandIn::addmv));
    m.impl("mm.out", TORCH_FN(StandIn::mm_out));
    m.impl("bmm.out", TORCH_FN(StandIn::bmm_out));
    m.impl("mv.out", TORCH_FN(StandIn::mv_out));
    m.impl("addmm.out", TORCH_FN(StandIn::addmm_out));
    m.impl("baddbmm.out", TORCH_FN(StandIn::baddbmm_out));
    m.impl("addmm_", TORCH_FN(StandIn::addmm_));
    m.impl("baddbmm_", TORCH_FN(StandIn::baddbmm_));
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace

struct OperationCounter::Guards {
  PlainLibTorchGuard plain;
  torch::NoGradGuard no_grad;
  c10::impl::IncludeDispatchKeyGuard counting{kCounting};
};

OperationCounter::OperationCounter() : before_(counter_here), guards_(std::make_unique<Guards>()) {
  register_stand_ins();
  counter_here = this;
}
OperationCounter::~OperationCounter() { counter_here = before_; }
OperationCounter* OperationCounter::active() { return counter_here; }

void OperationCounter::add(int64_t multiply_adds, int64_t state_updates) {
  count_.multiply_adds += multiply_adds;
  count_.state_updates += state_updates;
}

}  // namespace mambaseg
