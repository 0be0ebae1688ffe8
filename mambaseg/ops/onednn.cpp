#include "mambaseg/ops/onednn.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <oneapi/dnnl/dnnl.hpp>

#include <ATen/Parallel.h>

#include "mambaseg/ops/cast_weights.h"

namespace mambaseg {
namespace {

using dnnl::memory;
using torch::Tensor;
using Arguments = std::unordered_map<int, memory>;

/// An operation on tensors of given sizes and types, ready to run.
struct Problem {
  std::vector<int64_t> key;
  dnnl::primitive primitive;
  memory::desc x, weights, y;    ///< input, weights and result as the primitive takes them
  memory::desc scratch;          ///< what it writes to while it runs
  bool reads_scratch = false;    ///< before it has written there
  bool leaves_epilogue = false;  ///< to be done behind it
};

/// Weights (and bias) in one layout, and from which state of the parameters they were made.
struct Packing {
  memory::desc layout;
  std::vector<int64_t> state;
  Tensor weights;  ///< bytes
  Tensor bias;
};

constexpr size_t kProblemsKept = 16;

}  // namespace

struct PackedWeights::Contents {
  std::mutex mutex;
  std::vector<Problem> problems;
  std::vector<Packing> packings;
  CastWeights cast;
};

PackedWeights::PackedWeights() : contents_(std::make_shared<Contents>()) {}

void PackedWeights::forget() const {
  const std::lock_guard<std::mutex> lock(contents_->mutex);
  for (Packing& p : contents_->packings) p.state.clear();
  const std::lock_guard<std::mutex> cast_lock(contents_->cast.mutex);
  contents_->cast.state.clear();
}

CastWeights& cast_of(PackedWeights::Contents& contents) { return contents.cast; }

namespace {

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

void run(const dnnl::primitive& primitive, const Arguments& arguments) {
  thread_local dnnl::stream stream(engine());
  primitive.execute(stream, arguments);
  stream.wait();
}

memory::data_type type_of(const Tensor& t) {
  return t.scalar_type() == torch::kBFloat16 ? memory::data_type::bf16 : memory::data_type::f32;
}

/// (rows, columns) with columns contiguous. Strides of axes of length one are free in a tensor but not here.
memory::desc rows_of(const Tensor& t) {
  return memory::desc(t.sizes().vec(), type_of(t), {t.size(0) > 1 ? t.stride(0) : t.size(1), 1});
}

memory wrapped(const Tensor& t, const memory::desc& desc) { return memory(desc, engine(), t.data_ptr()); }

/// Room for `desc` from LibTorch's allocator.
Tensor room_for(const memory::desc& desc) {
  return torch::empty({static_cast<int64_t>(desc.get_size())}, torch::kByte);
}

/// Room that a primitive takes while it runs. Some announce as much as their output and touch a little of it,
/// so it comes fresh from the system, which counts pages that are touched, and not from the tensors' memory:
/// unless it must be cleared, which touches all. (The tests put guards around it.)
class Scratch {
 public:
  explicit Scratch(size_t bytes) {
    if (bytes > 0 && posix_memalign(&at_, kAlignment, bytes) != 0) throw std::bad_alloc();
  }
  ~Scratch() { std::free(at_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* at() const { return at_; }

 private:
  static constexpr size_t kAlignment = 64;
  void* at_ = nullptr;
};

void run(const Problem& problem, Arguments arguments) {
  const size_t bytes = problem.scratch.get_size();
  const Tensor cleared = problem.reads_scratch && bytes > 0 ? room_for(problem.scratch).zero_() : Tensor();
  const Scratch scratch(cleared.defined() ? 0 : bytes);
  void* at = cleared.defined() ? cleared.data_ptr() : scratch.at();
  arguments.insert({DNNL_ARG_SCRATCHPAD, memory(problem.scratch, engine(), at)});
  run(problem.primitive, arguments);
}

/// Activations (B, C, spatial...) with channels innermost. Written as a tag, since the strides of axes of
/// length one are free in a tensor but not here.
memory::desc channels_last_desc(const Tensor& t) {
  using Tag = memory::format_tag;
  return memory::desc(t.sizes().vec(), type_of(t), t.dim() == 4 ? Tag::nhwc : Tag::ndhwc);
}

/// (out, in / groups, taps...), with groups (groups, out / groups, in / groups, taps...)
memory::dims sizes_of(const Tensor& weight, int64_t groups) {
  memory::dims sizes = weight.sizes().vec();
  if (groups > 1) {
    sizes[0] /= groups;
    sizes.insert(sizes.begin(), groups);
  }
  return sizes;
}

memory::desc any_weights(const Tensor& weight, int64_t groups, memory::data_type type) {
  return memory::desc(sizes_of(weight, groups), type, memory::format_tag::any);
}

/// As torch holds them.
memory::desc plain_weights(const Tensor& weight, int64_t groups) {
  const memory::dims sizes = sizes_of(weight, groups);
  memory::dims strides(sizes.size(), 1);
  for (size_t axis = sizes.size() - 1; axis > 0; --axis) strides[axis - 1] = strides[axis] * sizes[axis];
  return memory::desc(sizes, memory::data_type::f32, strides);
}

void reorder(const memory& from, const memory& to) {
  run(dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

std::vector<int64_t> state_of(const DenseWeights& w) {
  std::vector<int64_t> state;
  add_state(w.weight, state);
  add_state(w.bias, state);
  if (w.norm)
    for (const Tensor* t : {&w.norm->weight, &w.norm->bias, &w.norm->mean, &w.norm->var})
      add_state(*t, state);
  return state;
}

/// Weight and bias with the norm multiplied in.
std::pair<Tensor, Tensor> folded(const DenseWeights& w) {
  if (!w.norm) return {w.weight, w.bias};
  const FixedNorm& norm = *w.norm;
  const Tensor scale = norm.weight * torch::rsqrt(norm.var + norm.eps);
  const Tensor bias =
      w.bias.defined() ? (w.bias - norm.mean) * scale + norm.bias : norm.bias - norm.mean * scale;
  std::vector<int64_t> rows(static_cast<size_t>(w.weight.dim()), 1);
  rows[0] = -1;
  return {w.weight * scale.view(rows), bias};
}

/// The weights in `layout`; `plain` describes them as torch holds them.
const Packing& packed(PackedWeights::Contents& contents, const DenseWeights& w, const memory::desc& layout,
                      const memory::desc& plain) {
  const std::vector<int64_t> state = state_of(w);
  auto found = std::find_if(contents.packings.begin(), contents.packings.end(),
                            [&](const Packing& p) { return p.layout == layout; });
  if (found != contents.packings.end() && found->state == state) return *found;
  if (found == contents.packings.end())
    found = contents.packings.insert(found, {layout, {}, room_for(layout), {}});
  const auto [weight, bias] = folded(w);
  const Tensor dense = weight.detach().to(torch::kFloat).contiguous();
  reorder(wrapped(dense, plain), wrapped(found->weights, layout));
  found->bias = bias.defined() ? bias.detach().to(torch::kFloat).contiguous() : Tensor();
  found->state = state;
  return *found;
}

template <class Make>
const Problem& problem(PackedWeights::Contents& contents, std::vector<int64_t> key, Make make) {
  for (const Problem& known : contents.problems)
    if (known.key == key) return known;
  if (contents.problems.size() == kProblemsKept) contents.problems.erase(contents.problems.begin());
  contents.problems.push_back(make());
  contents.problems.back().key = std::move(key);
  return contents.problems.back();
}

void append_activation(dnnl::post_ops& ops, Activation activation) {
  using dnnl::algorithm;
  const auto append = [&](algorithm kind, float alpha) {
#if DNNL_VERSION_MAJOR >= 3
    ops.append_eltwise(kind, alpha, 0);
#else
    ops.append_eltwise(1, kind, alpha, 0);
#endif
  };
  switch (activation) {
    case Activation::none:
      return;
    case Activation::relu:
      return append(algorithm::eltwise_relu, 0);
    case Activation::leaky_relu:
      return append(algorithm::eltwise_relu, static_cast<float>(kLeakySlope));
    case Activation::gelu:
      return append(algorithm::eltwise_gelu_erf, 0);
    case Activation::silu:
      return append(algorithm::eltwise_swish, 1);
    case Activation::sigmoid:
      return append(algorithm::eltwise_logistic, 0);
  }
}

dnnl::primitive_attr with_own_scratch() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::primitive_attr attributes(const Epilogue& epilogue, const memory::desc& residual) {
  dnnl::post_ops ops;
  if (epilogue.residual.defined()) ops.append_binary(dnnl::algorithm::binary_add, residual);
  append_activation(ops, epilogue.activation);
  dnnl::primitive_attr attributes = with_own_scratch();
  attributes.set_post_ops(ops);
  return attributes;
}

struct Geometry {
  memory::dims stride, dilation, front, behind;
  explicit Geometry(const ConvolutionOptions& o)
      : stride(o.stride),
        dilation(o.dilation),
        front(o.padding),
        behind(o.padding_behind.empty() ? o.padding : o.padding_behind) {
    for (int64_t& d : dilation) --d;  // oneDNN counts the gaps
  }
};

memory::desc bias_desc(int64_t channels) {
  return memory::desc({channels}, memory::data_type::f32, memory::format_tag::a);
}

dnnl::convolution_forward::primitive_desc forward_desc(dnnl::prop_kind kind, const memory::desc& x,
                                                       const memory::desc& weights, const memory::desc& bias,
                                                       const memory::desc& y, const Geometry& g,
                                                       const dnnl::primitive_attr& attributes = {}) {
  constexpr auto direct = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), kind, direct, x, weights, bias, y, g.stride, g.dilation, g.front, g.behind, attributes};
#else
  return {{kind, direct, x, weights, bias, y, g.stride, g.dilation, g.front, g.behind}, attributes, engine()};
#endif
}

/// Where oneDNN 2.6 adds a residual that lies elsewhere: in convolutions by matrix products, and where it
/// takes the residual for one that is repeated along an axis of length one.
bool adds_wrongly(const dnnl::convolution_forward::primitive_desc& desc, const Tensor& y) {
  const auto sizes = y.sizes().slice(1);
  return std::find(sizes.begin(), sizes.end(), 1) != sizes.end() ||
         std::string(desc.impl_info_str()).find("gemm") != std::string::npos;
}

/// Whether a tap of the kernel (out, in, edges...) is outside of the image wherever the kernel stands.
bool has_taps_outside(const Tensor& weight, const Tensor& x, const Tensor& y, const ConvolutionOptions& o) {
  for (int64_t axis = 0; axis < x.dim() - 2; ++axis) {
    const auto a = static_cast<size_t>(axis);
    const int64_t last_stand = (y.size(axis + 2) - 1) * o.stride[a] - o.padding[a];
    const int64_t last_tap = (weight.size(axis + 2) - 1) * o.dilation[a];
    if (last_stand < 0 || last_tap - o.padding[a] >= x.size(axis + 2)) return true;
  }
  return false;
}

dnnl::convolution_backward_data::primitive_desc backward_data_desc(const memory::desc& dx,
                                                                   const memory::desc& weights,
                                                                   const memory::desc& dy,
                                                                   const Geometry& g) {
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  const auto hint = forward_desc(dnnl::prop_kind::forward_training, dx, weights, {}, dy, g);
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), direct,   dx,   weights,           dy, g.stride, g.dilation,
          g.front,  g.behind, hint, with_own_scratch()};
#else
  return {
      {direct, dx, weights, dy, g.stride, g.dilation, g.front, g.behind}, with_own_scratch(), engine(), hint};
#endif
}

dnnl::convolution_backward_weights::primitive_desc backward_weights_desc(const memory::desc& x,
                                                                         const memory::desc& dweights,
                                                                         const memory::desc& dbias,
                                                                         const memory::desc& dy,
                                                                         const Geometry& g) {
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  const memory::desc weights(dweights.dims(), x.data_type(), memory::format_tag::any);
  const auto hint = forward_desc(dnnl::prop_kind::forward_training, x, weights, {}, dy, g);
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), direct,     x,       dweights, dbias, dy,
          g.stride, g.dilation, g.front, g.behind, hint,  with_own_scratch()};
#else
  return {{direct, x, dweights, dbias, dy, g.stride, g.dilation, g.front, g.behind},
          with_own_scratch(),
          engine(),
          hint};
#endif
}

dnnl::matmul::primitive_desc matmul_desc(const memory::desc& x, const memory::desc& weights,
                                         const memory::desc& bias, const memory::desc& y,
                                         const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), x, weights, bias, y, attributes};
#else
  return {{x, weights, bias, y}, attributes, engine()};
#endif
}

Problem product(const memory::desc& x, const memory::desc& weights, const memory::desc& bias,
                const memory::desc& y, const dnnl::primitive_attr& attributes) {
  const auto desc = matmul_desc(x, weights, bias, y, attributes);
  return {
      {}, dnnl::matmul(desc), desc.src_desc(), desc.weights_desc(), desc.dst_desc(), desc.scratchpad_desc()};
}

enum Kind : int64_t {
  kForward,
  kBackwardData,
  kBackwardWeights,
  kLinear,
  kLinearBackwardData,
  kLinearBackwardWeights
};

void add_tensor(std::vector<int64_t>& key, const Tensor& t) {
  key.push_back(static_cast<int64_t>(t.scalar_type()));
  key.insert(key.end(), t.sizes().begin(), t.sizes().end());
}

std::vector<int64_t> key_of(Kind kind, const Tensor& x, const Tensor& y, const DenseWeights& w = {},
                            const Epilogue& epilogue = {}) {
  std::vector<int64_t> key{kind, at::get_num_threads(), static_cast<int64_t>(epilogue.activation),
                           epilogue.residual.defined(), w.bias.defined() || w.norm};
  add_tensor(key, x);
  add_tensor(key, y);
  if (epilogue.residual.defined()) add_tensor(key, epilogue.residual);
  if (kind >= kLinear) key.insert(key.end(), {x.stride(0), y.stride(0)});
  return key;
}

memory::desc or_none(bool there, const memory::desc& desc) { return there ? desc : memory::desc(); }

}  // namespace

namespace onednn {

bool takes(const Tensor& x) {
  if (!x.is_cpu()) return false;
  // Older processors compute bf16 in a reference implementation that is slower than fp32.
  static const bool bf16 = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core;
  return x.scalar_type() == torch::kFloat || (bf16 && x.scalar_type() == torch::kBFloat16);
}

bool has_bf16_arithmetic() { return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16; }

const char* target() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx512_core:
      return "AVX-512";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "AVX-512 VNNI";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "AVX-512 BF16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "AMX";
    case dnnl::cpu_isa::avx2:
      return "AVX2";
    case dnnl::cpu_isa::avx:
      return "AVX";
    case dnnl::cpu_isa::sse41:
      return "SSE4.1";
    default:
      return "unknown instructions";
  }
}

void convolution(const Tensor& x, const DenseWeights& w, const ConvolutionOptions& options,
                 const Epilogue& epilogue, Tensor& y) {
  PackedWeights::Contents& contents = w.packed.contents();
  const std::lock_guard<std::mutex> lock(contents.mutex);
  const bool with_bias = w.bias.defined() || w.norm;
  const memory::desc residual =
      epilogue.residual.defined() ? channels_last_desc(epilogue.residual) : memory::desc();
  const Problem& p = problem(contents, key_of(kForward, x, y, w, epilogue), [&] {
    const auto described = [&](const dnnl::primitive_attr& epilogue_of) {
      return forward_desc(dnnl::prop_kind::forward_inference, channels_last_desc(x),
                          any_weights(w.weight, options.groups, type_of(x)),
                          or_none(with_bias, bias_desc(y.size(1))), channels_last_desc(y), Geometry(options),
                          epilogue_of);
    };
    auto desc = described(attributes(epilogue, residual));
    const bool leaves_epilogue = epilogue.residual.defined() && adds_wrongly(desc, y);
    if (leaves_epilogue) desc = described(with_own_scratch());
    return Problem{{},
                   dnnl::convolution_forward(desc),
                   desc.src_desc(),
                   desc.weights_desc(),
                   desc.dst_desc(),
                   desc.scratchpad_desc(),
                   /*reads_scratch=*/false,
                   leaves_epilogue};
  });
  const Packing& weights = packed(contents, w, p.weights, plain_weights(w.weight, options.groups));
  Arguments arguments{{DNNL_ARG_SRC, wrapped(x, p.x)},
                      {DNNL_ARG_WEIGHTS, wrapped(weights.weights, p.weights)},
                      {DNNL_ARG_DST, wrapped(y, p.y)}};
  if (with_bias) arguments.insert({DNNL_ARG_BIAS, wrapped(weights.bias, bias_desc(y.size(1)))});
  if (epilogue.residual.defined() && !p.leaves_epilogue)
    arguments.insert(
        {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, wrapped(epilogue.residual, residual)});
  run(p, std::move(arguments));
  if (p.leaves_epilogue) y = finish(y, epilogue);
}

void convolution_backward_data(const Tensor& dy, const DenseWeights& w, const ConvolutionOptions& options,
                               Tensor& dx) {
  PackedWeights::Contents& contents = w.packed.contents();
  const std::lock_guard<std::mutex> lock(contents.mutex);
  const Problem& p = problem(contents, key_of(kBackwardData, dy, dx), [&] {
    const auto desc =
        backward_data_desc(channels_last_desc(dx), any_weights(w.weight, options.groups, type_of(dy)),
                           channels_last_desc(dy), Geometry(options));
    return Problem{{},
                   dnnl::convolution_backward_data(desc),
                   desc.diff_dst_desc(),
                   desc.weights_desc(),
                   desc.diff_src_desc(),
                   desc.scratchpad_desc()};
  });
  const Packing& weights = packed(contents, w, p.weights, plain_weights(w.weight, options.groups));
  run(p, {{DNNL_ARG_DIFF_DST, wrapped(dy, p.x)},
          {DNNL_ARG_WEIGHTS, wrapped(weights.weights, p.weights)},
          {DNNL_ARG_DIFF_SRC, wrapped(dx, p.y)}});
}

void convolution_backward_weights(const Tensor& x, const Tensor& dy, const PackedWeights& packed_weights,
                                  const ConvolutionOptions& options, Tensor& dweight, Tensor& dbias) {
  // Where oneDNN 2.6 reads outside of its tensors in bf16.
  const bool one_channel_a_group = options.groups > 1 && dweight.size(1) == 1;
  if (x.scalar_type() == torch::kBFloat16 &&
      (one_channel_a_group || has_taps_outside(dweight, x, dy, options)))
    return convolution_backward_weights(x.to(torch::kFloat), dy.to(torch::kFloat), packed_weights, options,
                                        dweight, dbias);
  PackedWeights::Contents& contents = packed_weights.contents();
  const std::lock_guard<std::mutex> lock(contents.mutex);
  const memory::desc bias = or_none(dbias.defined(), bias_desc(dy.size(1)));
  const Problem& p =
      problem(contents, key_of(kBackwardWeights, x, dy, {dweight, dbias, packed_weights}), [&] {
        const auto desc = backward_weights_desc(channels_last_desc(x),
                                                any_weights(dweight, options.groups, memory::data_type::f32),
                                                bias, channels_last_desc(dy), Geometry(options));
        return Problem{{},
                       dnnl::convolution_backward_weights(desc),
                       desc.src_desc(),
                       desc.diff_weights_desc(),
                       desc.diff_dst_desc(),
                       desc.scratchpad_desc(),
                       /*reads_scratch=*/x.scalar_type() == torch::kBFloat16};
      });
  const Tensor gradient = room_for(p.weights);
  Arguments arguments{{DNNL_ARG_SRC, wrapped(x, p.x)},
                      {DNNL_ARG_DIFF_DST, wrapped(dy, p.y)},
                      {DNNL_ARG_DIFF_WEIGHTS, wrapped(gradient, p.weights)}};
  if (dbias.defined()) arguments.insert({DNNL_ARG_DIFF_BIAS, wrapped(dbias, bias)});
  run(p, std::move(arguments));
  reorder(wrapped(gradient, p.weights), wrapped(dweight, plain_weights(dweight, options.groups)));
}

void linear(const Tensor& x, const DenseWeights& w, const Epilogue& epilogue, Tensor& y) {
  PackedWeights::Contents& contents = w.packed.contents();
  const std::lock_guard<std::mutex> lock(contents.mutex);
  const bool with_bias = w.bias.defined();
  const int64_t in = w.weight.size(1), out = w.weight.size(0);
  const memory::desc residual = epilogue.residual.defined() ? rows_of(epilogue.residual) : memory::desc();
  const memory::desc bias = memory::desc({1, out}, memory::data_type::f32, memory::format_tag::ab);
  const Problem& p = problem(contents, key_of(kLinear, x, y, w, epilogue), [&] {
    return product(rows_of(x), memory::desc({in, out}, type_of(x), memory::format_tag::any),
                   or_none(with_bias, bias), rows_of(y), attributes(epilogue, residual));
  });
  const Packing& weights =
      packed(contents, w, p.weights, memory::desc({in, out}, memory::data_type::f32, memory::dims{1, in}));
  Arguments arguments{{DNNL_ARG_SRC, wrapped(x, p.x)},
                      {DNNL_ARG_WEIGHTS, wrapped(weights.weights, p.weights)},
                      {DNNL_ARG_DST, wrapped(y, p.y)}};
  if (with_bias) arguments.insert({DNNL_ARG_BIAS, wrapped(weights.bias, bias)});
  if (epilogue.residual.defined())
    arguments.insert(
        {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, wrapped(epilogue.residual, residual)});
  run(p, std::move(arguments));
}

void linear_backward_data(const Tensor& dy, const DenseWeights& w, Tensor& dx) {
  PackedWeights::Contents& contents = w.packed.contents();
  const std::lock_guard<std::mutex> lock(contents.mutex);
  const memory::dims sizes = w.weight.sizes().vec();
  const Problem& p = problem(contents, key_of(kLinearBackwardData, dy, dx), [&] {
    return product(rows_of(dy), memory::desc(sizes, type_of(dy), memory::format_tag::any), {}, rows_of(dx),
                   with_own_scratch());
  });
  const Packing& weights =
      packed(contents, w, p.weights, memory::desc(sizes, memory::data_type::f32, memory::dims{sizes[1], 1}));
  run(p, {{DNNL_ARG_SRC, wrapped(dy, p.x)},
          {DNNL_ARG_WEIGHTS, wrapped(weights.weights, p.weights)},
          {DNNL_ARG_DST, wrapped(dx, p.y)}});
}

void linear_backward_weights(const Tensor& x, const Tensor& dy, const PackedWeights& packed_weights,
                             Tensor& dweight) {
  PackedWeights::Contents& contents = packed_weights.contents();
  const std::lock_guard<std::mutex> lock(contents.mutex);
  const Problem& p = problem(contents, key_of(kLinearBackwardWeights, x, dy), [&] {
    const memory::desc columns(memory::dims{dy.size(1), dy.size(0)}, type_of(dy),
                               memory::dims{1, dy.size(1)});
    return product(columns, rows_of(x), {}, rows_of(dweight), with_own_scratch());
  });
  run(p, {{DNNL_ARG_SRC, wrapped(dy, p.x)},
          {DNNL_ARG_WEIGHTS, wrapped(x, p.weights)},
          {DNNL_ARG_DST, wrapped(dweight, p.y)}});
}

}  // namespace onednn
}  // namespace mambaseg
