#include "mambaseg/ops/operation_counter.h"

#include <gtest/gtest.h>

#include <thread>

#include "mambaseg/ops/dense.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/ops/growing_conv.h"
#include "mambaseg/ops/selective_scan.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// Multiply-adds of `work`, whose result under the counter must have the sizes of the real one.
template <class Work>
int64_t multiply_adds(Work work) {
  const torch::NoGradGuard no_grad;
  const Tensor real = work();
  OperationCounter counter;
  EXPECT_EQ(work().sizes(), real.sizes());
  return counter.count().multiply_adds;
}

TEST(OperationCounter, CountsConvolutionsOfOurLayersAndOfLibTorch) {
  const Tensor x = torch::rand({2, 6, 7, 9}), weight = torch::rand({8, 6, 3, 3}), bias = torch::rand({8});
  EXPECT_EQ(multiply_adds([&] {
              return convolution(x, {weight, bias}, {{1, 1}, {1, 1}, {1, 1}});
            }),
            2 * 8 * 7 * 9 * (6 * 9));
  EXPECT_EQ(multiply_adds([&] {
              return convolution(x, {weight, bias}, {{2, 3}, {1, 0}, {1, 2}});
            }),
            2 * 8 * 4 * 2 * (6 * 9));
  EXPECT_EQ(
      multiply_adds([&] {
        return torch::convolution(x, torch::rand({4, 3, 1, 1}), {}, {1, 1}, {0, 0}, {1, 1}, false, {0, 0}, 2);
      }),
      2 * 4 * 7 * 9 * 3);
  EXPECT_EQ(multiply_adds([&] {
              return torch::conv1d(x[0], torch::rand({5, 7, 3}), {}, 2);
            }),
            6 * 5 * 4 * (7 * 3));
  EXPECT_EQ(multiply_adds([&] {
              return depthwise_conv(x, torch::rand({6, 1, 3, 3}), {}, {{1, 1}});
            }),
            2 * 6 * 7 * 9 * 9);
}

TEST(OperationCounter, CountsGrowingConvolutionsAsTheyAreDefined) {
  const Tensor x = torch::rand({2, 6, 4, 5});
  GrowingWeights kept, of_blocks;
  // 9 / 4 of what our kernels do.
  EXPECT_EQ(multiply_adds([&] {
              return doubled_convolution(x, torch::rand({3, 6, 3, 3}), {}, kept);
            }),
            2 * 3 * 8 * 10 * (6 * 9));
  const Tensor blocks = torch::rand({6, 3, 2, 2});
  EXPECT_EQ(multiply_adds([&] { return block_convolution(x, blocks, {}, of_blocks); }), 2 * 3 * 8 * 10 * 6);
  EXPECT_EQ(multiply_adds([&] {
              return torch::conv_transpose2d(x, torch::rand({6, 3, 3, 4}), {}, {2, 2}, {1, 1}, {1, 0});
            }),
            x.numel() * (3 * 12));
}

TEST(OperationCounter, CountsProductsOfMatrices) {
  const Tensor x = torch::rand({2, 5, 6}), square = torch::rand({6, 6}), weight = torch::rand({3, 6});
  EXPECT_EQ(multiply_adds([&] { return linear(x, {weight, torch::rand({3})}); }), 2 * 5 * 3 * 6);
  EXPECT_EQ(multiply_adds([&] { return torch::linear(x, weight); }), 2 * 5 * 3 * 6);
  EXPECT_EQ(multiply_adds([&] { return torch::matmul(x, square); }), 2 * 5 * 6 * 6);
  EXPECT_EQ(multiply_adds([&] { return torch::matmul(x, x.transpose(1, 2)); }), 2 * 5 * 5 * 6);
  EXPECT_EQ(multiply_adds([&] { return torch::matmul(square, x[0][0]); }), 6 * 6);
  EXPECT_EQ(multiply_adds([&] { return torch::einsum("bli,oi->blo", {x, weight}); }), 2 * 5 * 3 * 6);
  EXPECT_EQ(multiply_adds([&] {
              Tensor out = torch::empty({6, 2, 6});
              for (int64_t i = 0; i < 2; ++i) {
                Tensor part = out.select(1, i);
                torch::mm_out(part, square, square);
              }
              return out;
            }),
            2 * 6 * 6 * 6);
  EXPECT_EQ(multiply_adds([&] { return square.clone().addmm_(square, square); }), 6 * 6 * 6);
  EXPECT_EQ(multiply_adds([&] {
              return torch::baddbmm(torch::zeros({2, 5, 5}), x, x.transpose(1, 2));
            }),
            2 * 5 * 5 * 6);
}

TEST(OperationCounter, CountsTheStatesOfScans) {
  const int64_t B = 2, L = 7, C = 6, N = 4;
  SelectiveScanInputs in;
  in.u = torch::rand({B, L, C});
  in.delta = torch::rand({B, L, 1, C});
  in.A = -torch::rand({1, C, N});
  in.B = in.C = torch::rand({B, L, 1, 1, N});
  OperationCounter counter;
  Tensor last;
  EXPECT_EQ(selective_scan(in, nullptr, &last).sizes(), in.u.sizes());
  EXPECT_EQ(last.sizes(), torch::IntArrayRef({B, 1, C, N}));
  EXPECT_EQ(counter.count().state_updates, B * L * C * N);
  EXPECT_EQ(counter.count().multiply_adds, 0);
}

TEST(OperationCounter, LeavesOtherThreadsAndWhatComesAfterAlone) {
  const Tensor x = torch::ones({2, 3});
  OperationCounter outer;
  Tensor elsewhere;
  std::thread([&] { elsewhere = torch::mm(x, x.t()); }).join();
  EXPECT_EQ(elsewhere.sum().item<float>(), 12);
  {
    OperationCounter inner;
    torch::mm(x, x.t());
    EXPECT_EQ(inner.count().multiply_adds, 12);
  }
  EXPECT_EQ(outer.count().multiply_adds, 0);
  EXPECT_EQ(torch::mm(x, x.t()).sum().item<float>(), 0);
  EXPECT_EQ(outer.count().multiply_adds, 12);
}

TEST(OperationCounter, ComputesAgainWhenItIsGone) {
  const Tensor x = torch::ones({2, 3});
  { const OperationCounter counter; }
  EXPECT_EQ(OperationCounter::active(), nullptr);
  EXPECT_EQ(torch::mm(x, x.t()).sum().item<float>(), 12);
}

}  // namespace
}  // namespace mambaseg
