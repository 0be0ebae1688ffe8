// The Mamba-1 block of state-spaces/mamba.

#include "mambaseg/nets/blocks/mamba.h"

#include "tests/golden_check/module_check.h"

namespace mambaseg {
namespace {

GoldenResult check_mamba(const GoldenCase& g) {
  MambaSettings s;
  s.width = g.args.at("d_model");
  s.states = argument(g, "d_state", s.states);
  s.conv_kernel = argument(g, "d_conv", s.conv_kernel);
  s.expand = argument(g, "expand", s.expand);
  if (g.args.contains("dt_rank") && g.args["dt_rank"].is_number())
    s.dt_rank = g.args["dt_rank"];  // else "auto"
  s.bias = argument(g, "bias", s.bias);
  s.conv_bias = argument(g, "conv_bias", s.conv_bias);
  const auto mamba = std::make_shared<Mamba>(s);
  return check_module(g, *mamba, [&](const torch::Tensor& x) { return mamba->forward(x); });
}

constexpr GoldenCheck kChecks[] = {{"Mamba (mamba_simple)", check_mamba}};

}  // namespace

std::span<const GoldenCheck> mamba_checks() { return kChecks; }

}  // namespace mambaseg
