#include "mambaseg/ops/autocast.h"

#include <ATen/Context.h>
#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/dense.h"

namespace mambaseg {
namespace {

torch::ScalarType type_within(const std::string& precision, torch::ScalarType type) {
  const Autocast autocast(precision, torch::kCPU);
  return as_autocast(torch::ones({2}, type)).scalar_type();
}

TEST(Autocast, LowersSinglePrecisionAndNothingElse) {
  EXPECT_EQ(type_within("bf16", torch::kDouble), torch::kDouble);
  EXPECT_EQ(type_within("fp32", torch::kFloat), torch::kFloat);
  EXPECT_EQ(as_autocast(torch::ones({2})).scalar_type(), torch::kFloat) << "it ends with the guard";
}

TEST(Autocast, ProcessorsWithoutBf16StayInSinglePrecision) {
  for (const char* precision : {"bf16", "auto"})
    EXPECT_EQ(type_within(precision, torch::kFloat),
              has_bf16_arithmetic() ? torch::kBFloat16 : torch::kFloat);
}

TEST(Autocast, MayLiveInsideAnother) {
  const auto type_here = [] { return as_autocast(torch::ones({2})).scalar_type(); };
  const auto lowered = has_bf16_arithmetic() ? torch::kBFloat16 : torch::kFloat;
  const Autocast outer("bf16", torch::kCPU);
  {
    const Autocast inner("bf16", torch::kCPU);
    EXPECT_EQ(type_here(), lowered);
  }
  EXPECT_EQ(type_here(), lowered) << "the outer one goes on";
  EXPECT_EQ(torch::mm(torch::ones({2, 2}), torch::ones({2, 2})).scalar_type(), lowered);
}

TEST(Autocast, OursEndsWhereThatOfLibTorchIsExcluded) {
  const Autocast outer("bf16", torch::kCPU);
  const c10::impl::ExcludeDispatchKeyGuard none(c10::autocast_dispatch_keyset);
  EXPECT_EQ(as_autocast(torch::ones({2})).scalar_type(), torch::kFloat);
  EXPECT_EQ(torch::mm(torch::ones({2, 2}), torch::ones({2, 2})).scalar_type(), torch::kFloat);
}

TEST(Tf32, IsAllowedWhileAGuardLives) {
  const auto allowed = [] {
    return at::globalContext().allowTF32CuDNN() && at::globalContext().allowTF32CuBLAS();
  };
  allow_tf32(false);
  {
    const AllowTf32 outer(true);
    EXPECT_TRUE(allowed());
    {
      const AllowTf32 inner(false);
      EXPECT_FALSE(allowed());
    }
    EXPECT_TRUE(allowed());
  }
  EXPECT_FALSE(allowed());
}

TEST(Autocast, Float16AndTf32AreRefusedOnAProcessor) {
  EXPECT_THROW(Autocast("fp16", torch::kCPU), UsageError);
  EXPECT_THROW(Autocast("tf32", torch::kCPU), UsageError);
}

TEST(Tf32, OnTheGpuSinglePrecisionIsSinglePrecision) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({1, 64, 32, 32}), w = torch::randn({64, 64, 3, 3}),
                      a = torch::randn({256, 576}), b = torch::randn({576, 256});
  const auto error = [](const torch::Tensor& found, const torch::Tensor& exact) {
    return ((found.cpu() - exact).norm() / exact.norm()).item<double>();
  };
  const torch::Tensor convolved = torch::conv2d(x.to(torch::kDouble), w.to(torch::kDouble)),
                      product = torch::mm(a.to(torch::kDouble), b.to(torch::kDouble));
  allow_tf32(false);
  EXPECT_LT(error(torch::conv2d(x.to(torch::kCUDA), w.to(torch::kCUDA)), convolved), 1e-5);
  EXPECT_LT(error(torch::mm(a.to(torch::kCUDA), b.to(torch::kCUDA)), product), 1e-5);
}

}  // namespace
}  // namespace mambaseg
