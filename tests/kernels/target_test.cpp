#include "mambaseg/kernels/target.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>

namespace mambaseg {
namespace {

TEST(Targets, AreListedBestFirstEachOnce) {
  ASSERT_FALSE(supported_targets().empty());
  EXPECT_EQ(best_target().bit, supported_targets().front().bit);
  std::set<std::string> names;
  for (const SimdTarget& target : supported_targets()) {
    EXPECT_NE(target.bit, 0);
    EXPECT_TRUE(names.insert(target.name).second) << target.name;
    EXPECT_EQ(find_target(target.name).bit, target.bit);
  }
  // Who runs this for one instruction set (tests/run.sh, tests/elsewhere/run.sh) says which one must be met.
  if (const char* expected = std::getenv("MAMBASEG_SIMD")) {
    EXPECT_STREQ(best_target().name, expected);
  }
}

TEST(Targets, AnUnknownNameFindsNothing) { EXPECT_EQ(find_target("AVX9").bit, 0); }

}  // namespace
}  // namespace mambaseg
