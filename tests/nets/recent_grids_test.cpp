#include "mambaseg/nets/blocks/recent_grids.h"

#include <gtest/gtest.h>

namespace mambaseg {
namespace {

TEST(RecentGrids, TrainingAndValidationInTurnMakeEachGridOnce) {
  RecentGrids<int64_t> grids;
  int made = 0;
  const auto get = [&](int64_t length, torch::Device device) {
    return *grids.get({length, 2, 3}, device, [&] {
      ++made;
      return length;
    });
  };
  for (int epoch = 0; epoch < 5; ++epoch) {
    EXPECT_EQ(get(8, torch::kCPU), 8);
    EXPECT_EQ(get(16, torch::kCPU), 16);
  }
  EXPECT_EQ(made, 2);
  get(8, torch::Device(torch::kCUDA, 1));  // another device, other tables
  EXPECT_EQ(made, 3);
  get(32, torch::kCPU);
  get(8, torch::kCPU);
  EXPECT_EQ(made, 4);
  get(64, torch::kCPU);  // a fifth: the one not met for longest goes
  get(8, torch::kCPU);
  EXPECT_EQ(made, 5);
  EXPECT_EQ(get(16, torch::kCPU), 16);
  EXPECT_EQ(made, 6);
}

}  // namespace
}  // namespace mambaseg
