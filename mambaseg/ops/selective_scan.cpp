#include "mambaseg/ops/selective_scan.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "mambaseg/kernels/selective_scan.h"

namespace mambaseg {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kChannelBlock = 16;  // a whole number of SIMD vectors on every target

/// The operands of one call, all of one floating type, rows contiguous, and the walks.
struct Operands {
  Tensor u, delta, A, B, C, D, z, delta_bias;
  bool delta_softplus = true;
  Tensor index_TL;  // undefined: raster
  std::vector<int64_t> table, backwards;

  int64_t batch() const { return delta.size(0); }
  int64_t length() const { return delta.size(1); }
  int64_t directions() const { return delta.size(2); }
  int64_t channels() const { return delta.size(3); }
  int64_t states() const { return A.size(2); }
  int64_t groups() const { return std::max(B.dim() == 5 ? B.size(3) : 1, C.dim() == 5 ? C.size(3) : 1); }
};

/// Where batch item b, direction k of a (B, L, C), (B, L, K, ...) or (K, ...) tensor starts.
template <class T>
T* part(const Tensor& tensor, int64_t b, int64_t k, int64_t token_dims) {
  if (!tensor.defined()) return nullptr;
  T* data = tensor.data_ptr<T>();
  if (token_dims == 0) return data + k * tensor.stride(0);
  return data + b * tensor.stride(0) + (tensor.dim() > 3 ? k * tensor.stride(2) : 0);
}
template <class T>
T* per_token(const Tensor& tensor, int64_t b, int64_t k) {
  return part<T>(tensor, b, k, 2);
}
template <class T>
T* per_direction(const Tensor& tensor, int64_t k) {
  return part<T>(tensor, 0, k, 0);
}
/// B or C, per token (five axes) or constant (three).
template <class T>
T* either(const Tensor& tensor, int64_t b, int64_t k) {
  return part<T>(tensor, b, k, tensor.dim() == 5 ? 2 : 0);
}
int64_t either_stride(const Tensor& tensor) { return tensor.dim() == 5 ? tensor.stride(1) : 0; }

template <class T>
SelectiveScan<T> scan_of(const Operands& o, int64_t b, int64_t k, int64_t channel_begin,
                         int64_t channel_end) {
  SelectiveScan<T> scan;
  scan.length = o.length();
  scan.channels = o.channels();
  scan.states = o.states();
  scan.groups = o.groups();
  scan.channel_begin = channel_begin;
  scan.channel_end = channel_end;
  scan.u = per_token<T>(o.u, b, k);
  scan.u_stride = o.u.stride(1);
  scan.delta = per_token<T>(o.delta, b, k);
  scan.delta_stride = o.delta.stride(1);
  scan.A = per_direction<T>(o.A, k);
  scan.B = either<T>(o.B, b, k);
  scan.B_stride = either_stride(o.B);
  scan.C = either<T>(o.C, b, k);
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
int64_t forward_scratch(float, const Operands& o) {
  return selective_scan_forward_scratch(o.channels(), o.groups(), o.states());
}
int64_t forward_scratch(double, const Operands& o) {
  return selective_scan_ref_scratch(o.length(), o.states());
}
int64_t backward_scratch(float, const Operands& o) {
  return selective_scan_backward_scratch(o.channels(), o.groups(), o.states());
}
int64_t backward_scratch(double, const Operands& o) {
  return selective_scan_ref_scratch(o.length(), o.states());
}
void run(const SelectiveScan<float>& scan, const SelectiveScanOutput<float>& output, float* scratch) {
  selective_scan_forward(scan, output, scratch);
}
void run(const SelectiveScan<double>& scan, const SelectiveScanOutput<double>& output, double* scratch) {
  selective_scan_forward_ref(scan, output, scratch);
}
void run(const SelectiveScan<float>& scan, const SelectiveScanGradients<float>& gradients, float* scratch) {
  selective_scan_backward(scan, gradients, scratch);
}
void run(const SelectiveScan<double>& scan, const SelectiveScanGradients<double>& gradients,
         double* scratch) {
  selective_scan_backward_ref(scan, gradients, scratch);
}

/// [begin, end) of piece `index` of `pieces` of `size` things, in whole blocks.
std::pair<int64_t, int64_t> piece(int64_t size, int64_t pieces, int64_t index, int64_t block) {
  const int64_t blocks = (size + block - 1) / block;
  return {std::min(size, blocks * index / pieces * block),
          std::min(size, blocks * (index + 1) / pieces * block)};
}

/// How the threads share the work: a grid of batch ranges by channel ranges. It depends on the sizes and the
/// number of threads only, and so do the sums, bit for bit.
struct Shares {
  int64_t batches = 1;
  int64_t channels = 1;
  int64_t count() const { return batches * channels; }
};

Shares share(const Operands& o) {
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const int64_t blocks = (o.channels() + kChannelBlock - 1) / kChannelBlock;
  Shares shares;
  // Channels first: their ranges need no extra sums of the (K, C, N) gradients. Batch items where they
  // balance better.
  if (blocks % threads == 0 || blocks >= 4 * threads) {
    shares.channels = threads;
  } else {
    shares.batches = std::min(threads, o.batch());
    shares.channels = std::clamp<int64_t>(threads / shares.batches, 1, blocks);
  }
  return shares;
}

struct ForwardResult {
  Tensor y, gated, borders, last_state;
};

template <class T>
ForwardResult run_forward(const Operands& o, bool keep_borders, bool keep_state) {
  const auto options = o.u.options();
  ForwardResult result;
  result.y = torch::empty({o.batch(), o.length(), o.channels()}, options);
  result.gated = !o.z.defined() ? result.y : keep_borders ? torch::empty_like(result.y) : result.y;
  const int64_t chunks = selective_scan_chunks(o.length(), o.states());
  if (keep_borders) {
    result.borders = torch::empty({o.batch(), o.directions(), chunks, o.states(), o.channels()}, options);
  }
  if (keep_state)
    result.last_state = torch::empty({o.batch(), o.directions(), o.channels(), o.states()}, options);

  const Shares shares = share(o);
  const Tensor scratch = torch::empty({shares.count(), (forward_scratch(T(), o) + 15) / 16 * 16}, options);
  at::parallel_for(0, shares.count(), 1, [&](int64_t first, int64_t last) {
    for (int64_t index = first; index < last; ++index) {
      const auto [b_begin, b_end] = piece(o.batch(), shares.batches, index / shares.channels, 1);
      const auto [c_begin, c_end] =
          piece(o.channels(), shares.channels, index % shares.channels, kChannelBlock);
      for (int64_t b = b_begin; b < b_end; ++b) {
        for (int64_t k = 0; k < o.directions(); ++k) {
          SelectiveScanOutput<T> output;
          output.y = per_token<T>(result.y, b, k);
          output.y_stride = result.y.stride(1);
          output.accumulate = k > 0;
          if (o.z.defined() && k + 1 == o.directions()) {
            output.z = per_token<T>(o.z, b, k);
            output.z_stride = o.z.stride(1);
            output.gated = per_token<T>(result.gated, b, k);
            output.gated_stride = result.gated.stride(1);
          }
          if (keep_borders) output.borders = result.borders[b][k].template data_ptr<T>();
          if (keep_state) output.last_state = result.last_state[b][k].template data_ptr<T>();
          run(scan_of<T>(o, b, k, c_begin, c_end), output, scratch.data_ptr<T>() + index * scratch.stride(0));
        }
      }
    }
  });
  return result;
}

struct Gradients {
  Tensor u, delta, A, B, C, D, delta_bias;
};

/// Zeros for one gradient with a leading axis of `copies`, one per share that would collide, or undefined.
Tensor zeros_for(const Tensor& tensor, int64_t copies) {
  if (!tensor.defined()) return Tensor();
  std::vector<int64_t> sizes = tensor.sizes().vec();
  sizes.insert(sizes.begin(), copies);
  return torch::zeros(sizes, tensor.options());
}
Tensor sum_copies(const Tensor& copies) {
  if (!copies.defined()) return copies;
  return copies.size(0) == 1 ? copies[0] : copies.sum(0);
}

template <class T>
Gradients run_backward(const Operands& o, const Tensor& grad_out, const Tensor& borders) {
  const Shares shares = share(o);
  Gradients total;
  total.u = torch::empty(o.u.sizes(), o.u.options());
  total.delta = torch::empty(o.delta.sizes(), o.u.options());
  // Batch ranges collide in what has no batch axis, channel ranges in what has no channel axis.
  const auto copies_of = [&](const Tensor& t) {
    return zeros_for(t, t.defined() && t.dim() == 5 ? shares.channels : shares.batches);
  };
  Gradients copies{
      {}, {}, copies_of(o.A), copies_of(o.B), copies_of(o.C), copies_of(o.D), copies_of(o.delta_bias)};
  const Tensor scratch =
      torch::empty({shares.count(), (backward_scratch(T(), o) + 15) / 16 * 16}, o.u.options());

  at::parallel_for(0, shares.count(), 1, [&](int64_t first, int64_t last) {
    for (int64_t index = first; index < last; ++index) {
      const int64_t ib = index / shares.channels;
      const int64_t ic = index % shares.channels;
      const auto [b_begin, b_end] = piece(o.batch(), shares.batches, ib, 1);
      const auto [c_begin, c_end] = piece(o.channels(), shares.channels, ic, kChannelBlock);
      const auto mine = [&](const Tensor& t) { return !t.defined() ? Tensor() : t[t.dim() == 6 ? ic : ib]; };
      const Gradients own{
          {}, {}, mine(copies.A), mine(copies.B), mine(copies.C), mine(copies.D), mine(copies.delta_bias)};
      for (int64_t b = b_begin; b < b_end; ++b) {
        for (int64_t k = 0; k < o.directions(); ++k) {
          SelectiveScanGradients<T> g;
          g.grad_out = per_token<T>(grad_out, b, k);
          g.grad_out_stride = grad_out.stride(1);
          g.z = o.z.defined() ? per_token<T>(o.z, b, k) : nullptr;
          g.z_stride = o.z.defined() ? o.z.stride(1) : 0;
          g.borders = borders[b][k].template data_ptr<T>();
          g.u = per_token<T>(total.u, b, k);
          g.u_stride = total.u.stride(1);
          g.u_accumulate = o.u.dim() == 3 && k > 0;
          g.delta = per_token<T>(total.delta, b, k);
          g.delta_stride = total.delta.stride(1);
          g.A = per_direction<T>(own.A, k);
          g.B = either<T>(own.B, b, k);
          g.B_stride = either_stride(own.B);
          g.C = either<T>(own.C, b, k);
          g.C_stride = either_stride(own.C);
          g.D = per_direction<T>(own.D, k);
          g.delta_bias = per_direction<T>(own.delta_bias, k);
          run(scan_of<T>(o, b, k, c_begin, c_end), g, scratch.data_ptr<T>() + index * scratch.stride(0));
        }
      }
    }
  });
  total.A = sum_copies(copies.A);
  total.B = sum_copies(copies.B);
  total.C = sum_copies(copies.C);
  total.D = sum_copies(copies.D);
  total.delta_bias = sum_copies(copies.delta_bias);
  return total;
}

// Autograd functions of LibTorch 1.13 take no undefined tensors: an empty one stands for an operand that is
// absent.
Tensor given(const Tensor& tensor) { return tensor.numel() > 0 ? tensor : Tensor(); }
Tensor or_empty(const Tensor& tensor, const Tensor& like) {
  return tensor.defined() ? tensor : torch::empty({0}, like.options().requires_grad(false));
}

class SelectiveScanFunction : public torch::autograd::Function<SelectiveScanFunction> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& u, const Tensor& delta, const Tensor& A,
                        const Tensor& B, const Tensor& C, const Tensor& D, const Tensor& z,
                        const Tensor& delta_bias, const Operands& rest, bool need_gradient,
                        Tensor* last_state) {
    Operands o{u,
               delta,
               A,
               B,
               C,
               given(D),
               given(z),
               given(delta_bias),
               rest.delta_softplus,
               rest.index_TL,
               rest.table,
               rest.backwards};
    ForwardResult result = u.scalar_type() == torch::kDouble
                               ? run_forward<double>(o, need_gradient, last_state)
                               : run_forward<float>(o, need_gradient, last_state);
    if (last_state) *last_state = result.last_state;
    if (need_gradient) {
      const Tensor y = o.z.defined() ? result.y : Tensor();
      ctx->save_for_backward({u, delta, A, B, C, o.D, o.z, o.delta_bias, rest.index_TL, result.borders, y});
      ctx->saved_data["delta_softplus"] = o.delta_softplus;
      ctx->saved_data["table"] = o.table;
      ctx->saved_data["backwards"] = o.backwards;
    }
    return result.gated;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
    const variable_list saved = ctx->get_saved_variables();
    const Operands o{saved[0],
                     saved[1],
                     saved[2],
                     saved[3],
                     saved[4],
                     saved[5],
                     saved[6],
                     saved[7],
                     ctx->saved_data["delta_softplus"].toBool(),
                     saved[8],
                     ctx->saved_data["table"].toIntVector(),
                     ctx->saved_data["backwards"].toIntVector()};
    const Tensor& borders = saved[9];
    const Tensor& y = saved[10];

    Tensor grad_out = grad_outputs[0];
    if (grad_out.stride(2) != 1) grad_out = grad_out.contiguous();
    const Gradients g = o.u.scalar_type() == torch::kDouble ? run_backward<double>(o, grad_out, borders)
                                                            : run_backward<float>(o, grad_out, borders);
    Tensor grad_z;
    if (o.z.defined()) {
      const Tensor s = torch::sigmoid(o.z);
      grad_z = grad_out * y * s * (1 + o.z * (1 - s));
    }
    return {g.u, g.delta, g.A, g.B, g.C, g.D, grad_z, g.delta_bias, Tensor(), Tensor(), Tensor()};
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
    TORCH_CHECK(!t->defined() || t->device().is_cpu(),
                "selective_scan: expected tensors on the CPU, got one on ", t->device());
    TORCH_CHECK(!t->defined() || torch::isFloatingType(t->scalar_type()),
                "selective_scan: expected real floating-point tensors, got ", t->scalar_type());
  }
  if (tables) {
    TORCH_CHECK(tables->directions() == K && tables->backwards.size() == tables->table.size(),
                "selective_scan: expected ", K, " walks, got ", tables->directions());
    TORCH_CHECK(tables->index_TL.dim() == 2 && tables->index_TL.size(1) == length,
                "selective_scan: expected walks over ", length, " tokens, got ", tables->index_TL.sizes());
  } else {
    TORCH_CHECK(K == 1, "selective_scan: expected one direction without walks, got ", K);
  }
}

}  // namespace

Tensor selective_scan(const SelectiveScanInputs& in, const ScanTables* tables, Tensor* last_state) {
  check(in, tables);
  const auto type = in.u.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
  const auto rows = [&](const Tensor& t) {  // channels contiguous
    if (!t.defined()) return t;
    const Tensor converted = t.to(type);
    return converted.stride(-1) == 1 ? converted : converted.contiguous();
  };
  const auto all = [&](const Tensor& t) { return t.defined() ? t.to(type).contiguous() : t; };
  // A token stride of 0 would read as "the same for every token".
  const auto either_rows = [&](const Tensor& t) {  // groups and states contiguous
    if (t.dim() != 5) return all(t);
    const Tensor converted = rows(t);
    const bool fits =
        converted.stride(1) != 0 && (converted.size(3) == 1 || converted.stride(3) == converted.size(4));
    return fits ? converted : converted.contiguous();
  };

  Operands rest;
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
                                      or_empty(all(in.delta_bias), u), rest, need_gradient, last_state)
      .to(in.u.scalar_type());
}

}  // namespace mambaseg
