#include "mambaseg/ops/gate.h"

#include <gtest/gtest.h>

#include <torch/autograd.h>

#include "mambaseg/ops/plain_libtorch.h"

namespace mambaseg {
namespace {

using torch::Tensor;

struct Types {
  torch::ScalarType value, gate;
};
const Types kTypes[] = {{torch::kFloat, torch::kFloat},
                        {torch::kBFloat16, torch::kBFloat16},
                        {torch::kFloat, torch::kBFloat16},
                        {torch::kBFloat16, torch::kFloat},
                        {torch::kDouble, torch::kDouble}};
constexpr Activation kActivations[] = {Activation::gelu, Activation::silu, Activation::sigmoid,
                                       Activation::relu};

/// Gates of the same numbers: as they are, channels-last, the second half of a wider tensor, every other.
std::vector<Tensor> laid_out(const Tensor& t) {
  return {t.clone(), t.contiguous(torch::MemoryFormat::ChannelsLast3d),
          torch::cat({t, t}, -1).chunk(2, -1)[1], t.repeat_interleave(2, -1).slice(-1, 0, c10::nullopt, 2)};
}

double rounding(torch::ScalarType type) {
  return type == torch::kBFloat16 ? 0x1p-8 : type == torch::kFloat ? 1e-6 : 1e-14;
}

TEST(Gated, EqualsTheProductInDoubleWithItsGradients) {
  torch::manual_seed(12);
  const Tensor numbers = 3 * torch::randn({2, 7, 5, 6, 9}), values = torch::randn_like(numbers),
               dy = torch::randn_like(numbers);
  for (const Types& types : kTypes)
    for (const Activation activation : kActivations)
      for (const Tensor& laid : laid_out(numbers.to(types.gate))) {
        const Tensor gate = laid.detach().requires_grad_();
        const Tensor value = values.to(types.value).requires_grad_();
        const Tensor exact_gate = gate.detach().to(torch::kDouble).requires_grad_(),
                     exact_value = value.detach().to(torch::kDouble).requires_grad_();
        const Tensor y = gated(value, gate, activation),
                     expected = exact_value * activate(exact_gate, activation);
        EXPECT_EQ(y.scalar_type(), torch::promote_types(types.value, types.gate));
        const Tensor given = dy.to(y.scalar_type());
        const auto gradients = torch::autograd::grad({y}, {value, gate}, {given});
        const auto exact =
            torch::autograd::grad({expected}, {exact_value, exact_gate}, {given.to(torch::kDouble)});
        // Where LibTorch multiplies, what it multiplies is rounded, too.
        const double coarsest = std::max(rounding(types.value), rounding(types.gate));
        const auto near = [&](const Tensor& a, const Tensor& b) {
          EXPECT_LE((a.to(torch::kDouble) - b).abs().max().item<double>(),
                    3 * coarsest * (1 + b.abs().max().item<double>()))
              << types.value << types.gate << static_cast<int>(activation) << gate.strides();
        };
        near(y, expected);
        near(gradients[0], exact[0]);
        near(gradients[1], exact[1]);
        EXPECT_EQ(gradients[0].scalar_type(), types.value);
        EXPECT_EQ(gradients[1].scalar_type(), types.gate);
        const torch::NoGradGuard no_grad;
        EXPECT_TRUE(torch::equal(gated(value, gate, activation), y));
      }
}

TEST(Gated, HasLibTorchsNumericGradient) {
  torch::manual_seed(13);
  const Tensor gate = torch::randn({3, 4}).requires_grad_(), value = torch::randn({3, 4}).requires_grad_();
  for (const Activation activation : kActivations) {
    const auto gradients = torch::autograd::grad({gated(value, gate, activation).sum()}, {value, gate});
    const torch::NoGradGuard no_grad;
    const double step = 1e-5;
    const Tensor wide = value.to(torch::kDouble), at = gate.to(torch::kDouble);
    const Tensor numeric =
        (gated(wide, at + step, activation) - gated(wide, at - step, activation)) / (2 * step);
    EXPECT_TRUE(torch::allclose(gradients[1].to(torch::kDouble), numeric, 1e-5, 1e-5))
        << static_cast<int>(activation);
  }
}

TEST(Gated, WithoutAValueAndOfNothingAndOfOneNumber) {
  const Tensor x = torch::randn({5}).requires_grad_();
  EXPECT_TRUE(torch::allclose(gated({}, x, Activation::silu), torch::silu(x), 1e-6, 1e-7));
  EXPECT_EQ(gated({}, torch::empty({0, 3}), Activation::silu).numel(), 0);
  EXPECT_NEAR(gated(torch::tensor(2.0f), torch::tensor(0.0f), Activation::sigmoid).item<float>(), 1, 1e-6);
}

TEST(Gated, IsLibTorchsWhereLibTorchIsAskedFor) {
  const Tensor x = torch::randn({64}), value = torch::randn({64});
  const PlainLibTorchGuard plain;
  EXPECT_TRUE(torch::equal(gated(value, x, Activation::gelu), value * torch::gelu(x)));
}

TEST(GateGradient, IsThatOfTheProduct) {
  torch::manual_seed(14);
  const Tensor y = torch::randn({2, 30, 8}), dy = torch::randn_like(y);
  for (const auto type : {torch::kFloat, torch::kBFloat16, torch::kDouble}) {
    const Tensor z = torch::randn({2, 30, 16}).to(type).chunk(2, -1)[1];
    const Tensor exact = z.detach().to(torch::kDouble).requires_grad_();
    const Tensor expected = torch::autograd::grad({y.to(torch::kDouble) * torch::silu(exact)}, {exact},
                                                  {dy.to(torch::kDouble)})[0];
    const auto wide = type == torch::kDouble ? torch::kDouble : torch::kFloat;
    const Tensor found = gate_gradient(dy.to(wide), y.to(wide), z, Activation::silu);
    EXPECT_EQ(found.scalar_type(), type);
    EXPECT_LE((found.to(torch::kDouble) - expected).abs().max().item<double>(),
              2 * rounding(type) * (1 + expected.abs().max().item<double>()));
  }
}

TEST(ActivateInPlace, IsActivate) {
  torch::manual_seed(15);
  for (const auto type : {torch::kFloat, torch::kBFloat16, torch::kDouble})
    for (const Activation activation : kActivations)
      for (Tensor y : laid_out(torch::randn({2, 7, 5, 6, 9}).to(type))) {
        const Tensor expected = activate(y, activation);
        const void* at = y.data_ptr();
        activate_in_place(y, activation);
        EXPECT_TRUE(torch::equal(y, expected)) << type << static_cast<int>(activation);
        EXPECT_EQ(y.data_ptr(), at);
      }
}

}  // namespace
}  // namespace mambaseg
