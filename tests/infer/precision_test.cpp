#include "mambaseg/infer/precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

/// A thousand voxels, of which `changed` get another class in bf16.
auto patch_that_changes(int64_t changed) {
  return [changed](Precision precision) {
    torch::Tensor classes = torch::zeros({1, 10, 10, 10}, torch::kLong);
    if (precision == Precision::bf16) classes.view({-1}).narrow(0, 0, changed).fill_(1);
    return classes;
  };
}

TEST(Precision, NamesAreReadOrRefused) {
  EXPECT_EQ(precision_named("fp32"), Precision::fp32);
  EXPECT_EQ(precision_named("bf16"), Precision::bf16);
  EXPECT_EQ(precision_named("auto"), Precision::automatic);
  EXPECT_THROW(precision_named("fp16"), UsageError);
}

TEST(Precision, AutoTakesBf16WhenThePatchKeepsItsClasses) {
  const PrecisionChoice choice = choose_precision(Precision::automatic, patch_that_changes(1), true, "AMX");
  EXPECT_EQ(choice.precision, Precision::bf16);
  EXPECT_THAT(choice.reason, HasSubstr("bf16: in a trial 99.900 % of the voxels"));
  EXPECT_THAT(choice.reason, HasSubstr("AMX"));
}

TEST(Precision, AutoStaysInFp32WhenThePatchDoesNot) {
  const PrecisionChoice choice = choose_precision(Precision::automatic, patch_that_changes(2), true, "AMX");
  EXPECT_EQ(choice.precision, Precision::fp32);
  EXPECT_THAT(choice.reason, HasSubstr("fp32: in a trial 99.800 %"));
}

TEST(Precision, AutoStaysInFp32WithoutBf16Arithmetic) {
  bool asked = false;
  const PrecisionChoice choice = choose_precision(
      Precision::automatic,
      [&](Precision) {
        asked = true;
        return torch::Tensor();
      },
      false, "AVX-512");
  EXPECT_EQ(choice.precision, Precision::fp32);
  EXPECT_THAT(choice.reason, HasSubstr("no bf16 arithmetic (AVX-512)"));
  EXPECT_FALSE(asked);
}

TEST(Precision, AWishIsFulfilledWithoutATrialWhereTheMachineCan) {
  const auto no_trial = [](Precision) -> torch::Tensor { throw std::logic_error("no trial was needed"); };
  for (const Precision wish : {Precision::fp32, Precision::bf16}) {
    const PrecisionChoice choice = choose_precision(wish, no_trial, true, "AMX");
    EXPECT_EQ(choice.precision, wish);
    EXPECT_EQ(choice.reason, "");
  }
  const PrecisionChoice refused = choose_precision(Precision::bf16, no_trial, false, "AVX2");
  EXPECT_EQ(refused.precision, Precision::fp32);
  EXPECT_THAT(refused.reason, HasSubstr("no bf16 arithmetic (AVX2)"));
}

}  // namespace
}  // namespace mambaseg
