#include "mambaseg/infer/precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

const Arithmetic kWithBf16{false, true, "AMX"}, kWithout{false, false, "AVX2"},
    kOldGpu{true, false, "cuda:0"}, kGpu{true, true, "cuda:0"};

/// A thousand voxels, of which `changed` get another class than in fp32.
auto patch_that_changes(int64_t changed) {
  return [changed](Precision precision) {
    torch::Tensor classes = torch::zeros({1, 10, 10, 10}, torch::kLong);
    if (precision != Precision::fp32) classes.view({-1}).narrow(0, 0, changed).fill_(1);
    return classes;
  };
}

TEST(Precision, NamesAreReadOrRefused) {
  EXPECT_EQ(precision_named("fp32", kWithout), Precision::fp32);
  EXPECT_EQ(precision_named("bf16", kWithout), Precision::bf16);
  EXPECT_EQ(precision_named("auto", kWithout), Precision::automatic);
  EXPECT_EQ(precision_named("fp16", kGpu), Precision::fp16);
  EXPECT_EQ(precision_named("tf32", kGpu), Precision::tf32);
  EXPECT_THROW(precision_named("fp16", kWithBf16), UsageError);
  EXPECT_THROW(precision_named("tf32", kWithBf16), UsageError);
  EXPECT_THROW(precision_named("fp64", kGpu), UsageError);
}

TEST(Precision, AutoOnAGpuWithoutBf16TriesFp16) {
  for (const auto& [changed, expected] : {std::pair{1, Precision::fp16}, std::pair{2, Precision::fp32}}) {
    const auto choice = choose_precision(Precision::automatic, patch_that_changes(changed), kOldGpu);
    EXPECT_EQ(choice.precision, expected);
    EXPECT_THAT(choice.reason, HasSubstr("of the voxels get the same class in fp16 as in fp32"));
    EXPECT_THAT(choice.reason, HasSubstr("cuda:0"));
  }
}

TEST(Precision, AutoTakesBf16WhenThePatchKeepsItsClasses) {
  const PrecisionChoice choice = choose_precision(Precision::automatic, patch_that_changes(1), kWithBf16);
  EXPECT_EQ(choice.precision, Precision::bf16);
  EXPECT_THAT(choice.reason, HasSubstr("bf16: in a trial 99.900 % of the voxels"));
  EXPECT_THAT(choice.reason, HasSubstr("AMX"));
}

TEST(Precision, AutoStaysInFp32WhenThePatchDoesNot) {
  const PrecisionChoice choice = choose_precision(Precision::automatic, patch_that_changes(2), kWithBf16);
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
      kWithout);
  EXPECT_EQ(choice.precision, Precision::fp32);
  EXPECT_THAT(choice.reason, HasSubstr("no bf16 arithmetic (AVX2)"));
  EXPECT_FALSE(asked);
}

TEST(Precision, AWishIsFulfilledWithoutATrialWhereTheMachineCan) {
  const auto no_trial = [](Precision) -> torch::Tensor { throw std::logic_error("no trial was needed"); };
  for (const Precision wish : {Precision::fp32, Precision::bf16}) {
    const PrecisionChoice choice = choose_precision(wish, no_trial, kWithBf16);
    EXPECT_EQ(choice.precision, wish);
    EXPECT_EQ(choice.reason, "");
  }
  for (const Precision wish : {Precision::tf32, Precision::fp16}) {
    EXPECT_EQ(choose_precision(wish, no_trial, kGpu).precision, wish);
    EXPECT_THROW(choose_precision(wish, no_trial, kWithBf16), UsageError);
  }
  const PrecisionChoice refused = choose_precision(Precision::bf16, no_trial, kWithout);
  EXPECT_EQ(refused.precision, Precision::fp32);
  EXPECT_THAT(refused.reason, HasSubstr("no bf16 arithmetic (AVX2)"));
}

}  // namespace
}  // namespace mambaseg
