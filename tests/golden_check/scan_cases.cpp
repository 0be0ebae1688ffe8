// The selective scan, against the official reference implementation (state-spaces/mamba, selective_scan_ref).

#include <array>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/selective_scan.h"
#include "tests/golden_check/golden_case.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// The file's inputs as leaves, in the official layout: tokens last, one batch of channels.
struct Leaves {
  explicit Leaves(const GoldenCase& golden) : golden(golden) {
    for (const char* name : {"u", "delta", "A", "B", "C", "D", "z", "delta_bias"}) {
      const std::string stored = std::string("input.") + name;
      if (golden.has(stored)) leaf[name] = golden.on_device(stored).requires_grad_();
    }
  }
  Tensor get(const std::string& name) const {
    const auto found = leaf.find(name);
    return found == leaf.end() ? Tensor() : found->second;
  }
  const GoldenCase& golden;
  std::map<std::string, Tensor> leaf;
};

/// (batch, channels, tokens) -> (batch, tokens, channels)
Tensor channels_last(const Tensor& t) { return t.defined() ? t.transpose(1, 2) : t; }

/// (channels, states), (batch, states, tokens) or (batch, groups, states, tokens) -> as selective_scan wants
/// it.
Tensor operand(const Tensor& t) {
  if (t.dim() == 2) return t.unsqueeze(0);
  const Tensor grouped = t.dim() == 3 ? t.unsqueeze(1) : t;
  require(grouped.dim() == 4, "selective scan: expected B and C of 2, 3 or 4 axes, got ", t.dim());
  return grouped.permute({0, 3, 1, 2}).unsqueeze(2);
}

GoldenResult check_scan(const GoldenCase& golden) {
  const Leaves leaves(golden);
  SelectiveScanInputs in;
  in.u = channels_last(leaves.get("u"));
  in.delta = channels_last(leaves.get("delta")).unsqueeze(2);
  in.A = leaves.get("A").unsqueeze(0);
  in.B = operand(leaves.get("B"));
  in.C = operand(leaves.get("C"));
  if (leaves.get("D").defined()) in.D = leaves.get("D").unsqueeze(0);
  in.z = channels_last(leaves.get("z"));
  if (leaves.get("delta_bias").defined()) in.delta_bias = leaves.get("delta_bias").unsqueeze(0);
  // A file without the flag is of the kind whose arguments are fixed: softplus on.
  in.delta_softplus = golden.args.value("delta_softplus", true);

  Tensor last_state;
  const Tensor out = selective_scan(in, nullptr, &last_state).transpose(1, 2);
  GoldenComparison comparison(golden);
  comparison.output("out", out.detach());
  if (golden.has("output.last_state")) comparison.output("last_state", last_state.squeeze(1));
  if (golden.has("grad_output")) {
    out.backward(golden.on_device("grad_output"));
    for (const auto& [name, leaf] : leaves.leaf) {
      if (golden.has("grad.input." + name)) comparison.gradient("input." + name, leaf.grad());
    }
  }
  return comparison.result();
}

constexpr std::array<GoldenCheck, 2> kChecks = {{
    {"selective_scan_ref", check_scan, /*on_device=*/true},
    {"selective_scan_ref(return_last_state=True)", check_scan, /*on_device=*/true},
}};

}  // namespace

std::span<const GoldenCheck> scan_checks() { return kChecks; }

}  // namespace mambaseg
