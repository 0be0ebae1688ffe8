// The operators, whose autograd functions are LibTorch's and so are Python's, too.

#include <pybind11/stl.h>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/ops/selective_scan.h"
#include "mambaseg/ops/transposed.h"
#include "mambaseg/scan/orders.h"
#include "python/src/parts.h"

namespace mambaseg::python {
namespace {

namespace py = pybind11;
using torch::Tensor;

/// The result, and the state after the last step where it was asked for.
using Scanned = std::pair<Tensor, MaybeTensor>;

Scanned scan(const SelectiveScanInputs& inputs, const ScanTables* walks, bool return_last_state) {
  const py::gil_scoped_release others_may_run;
  Tensor last_state;
  const Tensor y = selective_scan(inputs, walks, return_last_state ? &last_state : nullptr);
  return {y, or_none(last_state)};
}

void expect(const char* name, const Tensor& tensor, std::vector<int64_t> sizes) {
  TORCH_CHECK(tensor.sizes() == torch::IntArrayRef(sizes), "selective_scan_fn: ", name, ": expected size ",
              torch::IntArrayRef(sizes), ", got ", tensor.sizes());
}

/// The channels of every token: (B, D, L) -> (B, L, D).
Tensor tokens(const Tensor& t_BDL) { return t_BDL.transpose(1, 2); }

/// (B, L, ...) with the numbers of a token side by side in memory.
Tensor turned(const Tensor& t) {
  if (!t.defined() || t.size(1) == 1 || t.stride(1) != 1) return t;
  const Tensor rows = t.flatten(2);
  return rows.stride(1) == 1 ? transposed(rows.transpose(1, 2)).view(t.sizes()) : t;
}

SelectiveScanInputs turned(SelectiveScanInputs in) {
  for (Tensor* t : {&in.u, &in.delta, &in.z}) *t = turned(*t);
  for (Tensor* t : {&in.B, &in.C})
    if (t->dim() == 5) *t = turned(*t);
  return in;
}

/// Channels [first, first + count) of one group.
SelectiveScanInputs channels_of(const SelectiveScanInputs& in, int64_t first, int64_t count) {
  const auto part = [&](const Tensor& t, int64_t axis) {
    return t.defined() ? t.narrow(axis, first, count) : t;
  };
  const auto either = [&](const Tensor& t) {
    return t.dim() == 5 ? t.narrow(3, first * t.size(3) / in.A.size(1), 1) : part(t, 1);
  };
  return {part(in.u, 2), part(in.delta, 3), part(in.A, 1),          either(in.B),     either(in.C),
          part(in.D, 1), part(in.z, 2),     part(in.delta_bias, 1), in.delta_softplus};
}

/// The groups of channels that B and C have, 0 where the scan refuses them.
int64_t groups_of(const SelectiveScanInputs& in) {
  const auto of = [](const Tensor& t, int64_t otherwise) { return t.dim() == 5 ? t.size(3) : otherwise; };
  const int64_t groups = of(in.B, of(in.C, 1)), channels = in.A.size(1);
  return groups == of(in.C, groups) && groups > 0 && channels % groups == 0 ? groups : 0;
}

/// The scan of tokens whose channels do not lie side by side, without a backward pass: some channels at a
/// time, whose turned copies stay in the caches. y (B, D, L).
Scanned scan_by_channels(SelectiveScanInputs in, bool return_last_state) {
  constexpr int64_t kTogether = 64;  // for each thread
  const int64_t channels = in.A.size(1), in_group = channels / groups_of(in);
  for (Tensor* t : {&in.B, &in.C})
    if (t->dim() == 5) *t = turned(*t);
  const Tensor y = torch::empty({in.u.size(0), channels, in.u.size(1)}, in.u.options());
  std::vector<Tensor> states;
  for (int64_t first = 0, count = 0; first < channels; first += count) {
    count = std::min<int64_t>(kTogether * torch::get_num_threads(), in_group - first % in_group);
    const auto [part, state] = scan(turned(channels_of(in, first, count)), nullptr, return_last_state);
    transpose_into(part, y.narrow(1, first, count));
    if (state) states.push_back(*state);
  }
  return {y, return_last_state ? MaybeTensor(torch::cat(states, 2)) : std::nullopt};
}

/// B or C of the field, (D, N), (B, N, L) or (B, G, N, L), as ours.
Tensor either(const char* name, const Tensor& t, int64_t batch, int64_t channels, int64_t length, int64_t N) {
  if (t.dim() == 2) {
    expect(name, t, {channels, N});
    return t.unsqueeze(0);
  }
  if (t.dim() == 3) {
    expect(name, t, {batch, N, length});
    return tokens(t).unsqueeze(2).unsqueeze(2);
  }
  TORCH_CHECK(t.dim() == 4, "selective_scan_fn: ", name, ": expected (D, N), (B, N, L) or (B, G, N, L), got ",
              t.sizes());
  expect(name, t, {batch, t.size(1), N, length});
  return t.permute({0, 3, 1, 2}).unsqueeze(2);
}

/// The scan as state-spaces/mamba lays it out. The result lies as delta does.
Scanned scan_BDL(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B, const Tensor& C,
                 const MaybeTensor& D, const MaybeTensor& z, const MaybeTensor& delta_bias,
                 bool delta_softplus, bool return_last_state) {
  TORCH_CHECK(u.dim() == 3, "selective_scan_fn: u: expected (B, D, L), got ", u.sizes());
  TORCH_CHECK(A.dim() == 2, "selective_scan_fn: A: expected (D, N), got ", A.sizes());
  const int64_t batch = u.size(0), channels = u.size(1), length = u.size(2), N = A.size(1);
  expect("delta", delta, {batch, channels, length});
  expect("A", A, {channels, N});
  SelectiveScanInputs inputs;
  inputs.u = tokens(u);
  inputs.delta = tokens(delta).unsqueeze(2);
  inputs.A = A.unsqueeze(0);
  inputs.B = either("B", B, batch, channels, length, N);
  inputs.C = either("C", C, batch, channels, length, N);
  if (D) {
    expect("D", *D, {channels});
    inputs.D = D->unsqueeze(0);
  }
  if (z) {
    expect("z", *z, {batch, channels, length});
    inputs.z = tokens(*z);
  }
  if (delta_bias) {
    expect("delta_bias", *delta_bias, {channels});
    inputs.delta_bias = delta_bias->unsqueeze(0);
  }
  inputs.delta_softplus = delta_softplus;
  const auto first_direction = [](const MaybeTensor& state) {
    return state ? MaybeTensor(state->select(1, 0)) : state;
  };
  const bool channels_last = delta.stride(1) == 1 && length > 1;
  const bool recorded =
      needs_gradient({u, delta, A, B, C, or_undefined(D), or_undefined(z), or_undefined(delta_bias)});
  if (u.is_cpu() && !channels_last && !recorded && groups_of(inputs) > 0) {
    const auto [y, state] = scan_by_channels(inputs, return_last_state);
    return {y, first_direction(state)};
  }
  const auto [y, state] = scan(turned(inputs), nullptr, return_last_state);
  return {channels_last ? tokens(y) : transposed(y), first_direction(state)};
}

Tensor depthwise(const Tensor& x, const Tensor& weight, const MaybeTensor& bias, std::vector<int64_t> padding,
                 bool causal, bool channels_last, const ScanTables* walk) {
  TORCH_CHECK(walk == nullptr || walk->directions() == 1, "depthwise_conv: expected one walk, got ",
              walk == nullptr ? 0 : walk->directions());
  const py::gil_scoped_release others_may_run;
  DepthwiseConvOptions options{std::move(padding), causal, channels_last, {}};
  if (walk != nullptr) options.order_L = walk->order_L(0);
  return depthwise_conv(x, weight, or_undefined(bias), options);
}

/// The family of that name.
const ScanOrderFamily& family_of(const std::string& name) {
  std::string known;
  for (const ScanOrderFamily& family : scan_order_families()) {
    if (family.name == name) return family;
    known += " " + family.name;
  }
  throw UsageError(concat("scan order: expected one of", known, ", got ", name));
}

/// (K, L): the tokens in the order in which each walk meets them.
Tensor orders_tensor(const std::vector<ScanOrder>& orders) {
  const Tensor out = torch::empty(
      {static_cast<int64_t>(orders.size()), static_cast<int64_t>(orders.front().size())}, torch::kLong);
  for (size_t k = 0; k < orders.size(); ++k)
    std::copy(orders[k].begin(), orders[k].end(), out.data_ptr<int64_t>() + k * orders[k].size());
  return out;
}

/// Walks from (K, L) whole numbers, each row of which names every token once.
ScanTables tables_of(const Tensor& orders_KL, torch::Device device) {
  TORCH_CHECK(orders_KL.dim() == 2 && orders_KL.numel() > 0 && !orders_KL.is_floating_point(),
              "walks: expected whole numbers (K, L), got ", orders_KL.scalar_type(), " ", orders_KL.sizes());
  const Tensor given = orders_KL.to(torch::kCPU, torch::kLong).contiguous();
  const int64_t length = given.size(1);
  std::vector<ScanOrder> orders;
  for (int64_t k = 0; k < given.size(0); ++k) {
    const int64_t* row = given.data_ptr<int64_t>() + k * length;
    std::vector<bool> met(static_cast<size_t>(length));
    for (int64_t t = 0; t < length; ++t) {
      TORCH_CHECK(row[t] >= 0 && row[t] < length && !met[static_cast<size_t>(row[t])], "walks: walk ", k,
                  ": expected every token from 0 to ", length - 1, " once, got ", row[t], " at step ", t);
      met[static_cast<size_t>(row[t])] = true;
    }
    orders.emplace_back(row, row + length);
  }
  return make_scan_tables(orders, device);
}

}  // namespace

void add_operators(py::module_& module) {
  py::class_<ScanTables>(module, "Walks")
      .def(py::init(&tables_of), py::arg("orders"), py::arg("device") = torch::Device(torch::kCPU))
      .def("__len__", &ScanTables::directions)
      .def_property_readonly("length", [](const ScanTables& walks) { return walks.index_TL.size(1); })
      .def("only", [](const ScanTables& walks, int64_t k) {
        if (k < 0 || k >= walks.directions()) throw py::index_error("no such walk");
        return walks.only(k);
      });
  module.def("scan_orders", [](const std::string& family, TokenGrid grid, int orientation) {
    return orders_tensor(family_of(family).make(grid, orientation));
  });
  module.def("scan_order_families", [] {
    std::vector<std::tuple<std::string, std::string, int, bool>> all;
    for (const ScanOrderFamily& family : scan_order_families())
      all.emplace_back(family.name, family.source, family.orientations, family.planar);
    return all;
  });
  module.def("selective_scan", [](const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B,
                                  const Tensor& C, const MaybeTensor& D, const MaybeTensor& z,
                                  const MaybeTensor& delta_bias, bool delta_softplus, const ScanTables* walks,
                                  bool return_last_state) {
    return scan(
        {u, delta, A, B, C, or_undefined(D), or_undefined(z), or_undefined(delta_bias), delta_softplus},
        walks, return_last_state);
  });
  module.def("selective_scan_BDL", &scan_BDL);
  module.def("depthwise_conv", &depthwise);
}

}  // namespace mambaseg::python
