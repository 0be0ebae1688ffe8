#include "mambaseg/ops/transposed.h"

#include <gtest/gtest.h>

#include <torch/autograd.h>

namespace mambaseg {
namespace {

using torch::Tensor;

TEST(Transposed, IsTheTransposedTensorInMemoryOfItsOwn) {
  for (const torch::ScalarType type : {torch::kFloat, torch::kBFloat16, torch::kDouble})
    for (const auto& [R, C] : {std::pair<int64_t, int64_t>{5, 300}, {700, 33}, {1, 1}, {0, 4}}) {
      const Tensor all = torch::randn({3, R + 2, C + 1}).to(type);
      const Tensor part = all.narrow(1, 1, R).narrow(2, 0, C);
      for (const Tensor& x : {part, part.contiguous(), part.transpose(1, 2)}) {
        const Tensor y = transposed(x);
        EXPECT_TRUE(y.is_contiguous());
        EXPECT_TRUE(torch::equal(y, x.transpose(1, 2))) << type << " " << x.sizes();
      }
    }
  EXPECT_THROW(transposed(torch::zeros({2, 2})), c10::Error);
}

TEST(Transposed, GradientsOfAnyOrderComeTransposed) {
  const Tensor x = torch::randn({2, 20, 30}).requires_grad_(true), weight = torch::randn({2, 30, 20});
  const Tensor y = transposed(x);
  const Tensor dx =
      torch::autograd::grad({(y * y * y * weight).sum()}, {x}, {}, true, /*create_graph=*/true)[0];
  const Tensor turned = weight.transpose(1, 2);
  EXPECT_TRUE(torch::allclose(dx, 3 * x * x * turned, 1e-5, 1e-6));
  const Tensor second = torch::autograd::grad({dx.sum()}, {x})[0];
  EXPECT_TRUE(torch::allclose(second, 6 * x * turned, 1e-5, 1e-6));
}

}  // namespace
}  // namespace mambaseg
