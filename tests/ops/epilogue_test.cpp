#include "mambaseg/ops/epilogue.h"

#include <gtest/gtest.h>

#include <torch/autograd.h>

namespace mambaseg {
namespace {

using torch::Tensor;

/// The same numbers with the axes in another order in memory.
Tensor laid_out(const Tensor& t, const std::string& layout) {
  if (layout == "channels last") return t.contiguous(torch::MemoryFormat::ChannelsLast3d);
  if (layout == "swapped") return t.transpose(2, 3).contiguous().transpose(2, 3);
  return t.contiguous();
}

TEST(Activate, GradientsDoNotDependOnHowTensorsLie) {
  torch::manual_seed(7);
  const Tensor x = torch::randn({2, 16, 8, 9, 10}), dy = torch::randn_like(x);
  for (const auto activation :
       {Activation::relu, Activation::leaky_relu, Activation::gelu, Activation::silu, Activation::sigmoid}) {
    const Tensor wide = x.to(torch::kDouble).requires_grad_();
    const Tensor expected =
        torch::autograd::grad({activate(wide, activation)}, {wide}, {dy.to(torch::kDouble)})[0];
    for (const char* of_x : {"contiguous", "channels last", "swapped"})
      for (const char* of_dy : {"contiguous", "channels last", "swapped"}) {
        const Tensor given = laid_out(x, of_x).requires_grad_();
        const Tensor dx =
            torch::autograd::grad({activate(given, activation)}, {given}, {laid_out(dy, of_dy)})[0];
        EXPECT_LE((dx - expected).abs().max().item<double>(), 1e-6)
            << static_cast<int>(activation) << ": x " << of_x << ", dy " << of_dy;
      }
  }
}

TEST(Finish, GivesTheSameWithAndWithoutGradient) {
  torch::manual_seed(8);
  const Tensor y = torch::randn({1, 5, 3, 4, 2}), residual = torch::randn_like(y);
  for (const auto activation : {Activation::none, Activation::relu, Activation::leaky_relu, Activation::gelu,
                                Activation::silu, Activation::sigmoid})
    for (const Tensor& added : {Tensor(), residual}) {
      const Tensor recorded = finish(y.clone().requires_grad_(), {activation, added}).detach();
      const torch::NoGradGuard no_grad;
      EXPECT_TRUE(torch::allclose(finish(y.clone(), {activation, added}), recorded, 1e-6, 1e-6));
    }
}

}  // namespace
}  // namespace mambaseg
