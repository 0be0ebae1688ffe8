#include "mambaseg/ops/autocast.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace mambaseg
