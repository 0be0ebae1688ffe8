#include "mambaseg/ops/autocast.h"

#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <gtest/gtest.h>
#include <torch/types.h>

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

}  // namespace
}  // namespace mambaseg
