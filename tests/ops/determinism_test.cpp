#include "mambaseg/ops/determinism.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

namespace mambaseg {
namespace {

TEST(Determinism, ReachesLibTorchAndIsTakenBack) {
  const at::Context& context = at::globalContext();
  for (const bool wanted : {true, false, true, false}) {
    compute_deterministically(wanted);
    EXPECT_EQ(context.deterministicAlgorithms(), wanted);
    EXPECT_EQ(computes_deterministically(), wanted);
    EXPECT_EQ(context.deterministicCuDNN(), wanted);
    EXPECT_FALSE(context.deterministicAlgorithmsWarnOnly()) << "what has no such algorithm is an error";
    EXPECT_FALSE(context.benchmarkCuDNN());
  }
}

}  // namespace
}  // namespace mambaseg
