#include "mambaseg/ops/ordered_gradients.h"

#include <gtest/gtest.h>

#include <functional>

namespace mambaseg {
namespace {

using torch::Tensor;
using Operation = std::function<Tensor(const Tensor&)>;

/// Values and gradients of both at random numbers that are the same.
void expect_alike(const Operation& ordered, const Operation& plain, torch::IntArrayRef sizes) {
  torch::manual_seed(1);
  const Tensor x =
      torch::relu(torch::randn(sizes, torch::kDouble));  // with equals, as behind a network's ReLU
  const Tensor a = x.clone().requires_grad_(), b = x.clone().requires_grad_();
  const Tensor y = ordered(a), expected = plain(b);
  ASSERT_EQ(y.sizes(), expected.sizes());
  EXPECT_TRUE(torch::allclose(y, expected, 0, 1e-12));
  const Tensor weight = torch::randn(y.sizes(), torch::kDouble);
  y.backward(weight);
  expected.backward(weight);
  EXPECT_TRUE(torch::allclose(a.grad(), b.grad(), 0, 1e-12));
}

TEST(OrderedGradients, LinearInterpolationIsLibTorchs) {
  for (const bool corners : {false, true}) {
    SCOPED_TRACE(corners);
    for (const std::vector<int64_t>& size :
         std::vector<std::vector<int64_t>>{{14, 10}, {7, 5}, {3, 9}, {1, 13}})
      expect_alike([&](const Tensor& x) { return linear_resized_in_order(x, size, corners); },
                   [&](const Tensor& x) { return torch::upsample_bilinear2d(x, size, corners); },
                   {2, 3, 7, 5});
    const std::vector<int64_t> size{8, 6, 9};
    expect_alike([&](const Tensor& x) { return linear_resized_in_order(x, size, corners); },
                 [&](const Tensor& x) { return torch::upsample_trilinear3d(x, size, corners); },
                 {1, 2, 4, 3, 5});
  }
}

TEST(OrderedGradients, PoolingIsLibTorchs) {
  for (const std::vector<int64_t>& sizes :
       std::vector<std::vector<int64_t>>{{2, 3, 4, 6, 8}, {1, 2, 5, 7, 9}}) {
    expect_alike([](const Tensor& x) { return max_pooled_in_order(x); },
                 [](const Tensor& x) { return torch::max_pool3d(x, 2); }, sizes);
    expect_alike(
        [](const Tensor& x) {
          return average_pooled_in_order(x, {1, 2, 2});
        },
        [](const Tensor& x) {
          return torch::avg_pool3d(x, {1, 2, 2}, {1, 2, 2});
        },
        sizes);
  }
}

}  // namespace
}  // namespace mambaseg
