#include "mambaseg/ops/block_cache.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace mambaseg {
namespace {

constexpr int64_t kMebibyte = 1 << 20;

torch::Tensor block(int64_t mebibytes) { return torch::empty({mebibytes * kMebibyte}, torch::kUInt8); }

class BlockCacheTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { cache_tensor_blocks(); }
};

TEST_F(BlockCacheTest, FreedMemoryIsHandedOutAgain) {
  torch::Tensor first = block(40);
  char* place = static_cast<char*>(first.data_ptr());
  first.reset();
  EXPECT_EQ(block(40).data_ptr(), place);
  {
    const torch::Tensor a = block(15), b = block(17);  // both fit into it
    EXPECT_EQ(a.data_ptr(), place);
    EXPECT_EQ(b.data_ptr(), place + 16 * kMebibyte);
  }
  EXPECT_EQ(block(40).data_ptr(), place) << "parts are joined again";
}

TEST_F(BlockCacheTest, HoldsNoMoreThanWasInUseAtOnce) {
  { const torch::Tensor a = block(30), b = block(50); }
  const size_t most = block_cache_state().most_in_use;
  for (const int64_t size : {7, 64, 11, 33, 70, 5}) {
    const torch::Tensor one = block(size);
    const BlockCacheState state = block_cache_state();
    EXPECT_LE(state.in_use + state.kept, std::max(most, state.most_in_use));
  }
  EXPECT_EQ(block_cache_state().most_in_use, most);
}

TEST_F(BlockCacheTest, GivesBackWhatIsNotInUse) {
  const torch::Tensor used = block(12).fill_(7);
  { const torch::Tensor a = block(30); }
  ASSERT_GT(block_cache_state().kept, 0u);
  const size_t in_use = block_cache_state().in_use;
  give_back_tensor_blocks();
  EXPECT_EQ(block_cache_state().kept, 0u);
  EXPECT_EQ(block_cache_state().in_use, in_use);
  EXPECT_EQ(used.to(torch::kLong).sum().item<int64_t>(), 7 * 12 * kMebibyte);
  EXPECT_EQ(block(30).fill_(1).to(torch::kLong).sum().item<int64_t>(), 30 * kMebibyte);
}

TEST_F(BlockCacheTest, TensorsAreAlignedAndHoldWhatIsWritten) {
  for (const int64_t size : {1, 2, 3, 9}) {
    const torch::Tensor t = block(size).fill_(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data_ptr()) % 64, 0u);
    EXPECT_EQ(t.to(torch::kLong).sum().item<int64_t>(), size * size * kMebibyte);
  }
  const size_t before = block_cache_state().in_use;
  const torch::Tensor small = torch::ones({1000});
  EXPECT_EQ(block_cache_state().in_use, before) << "small tensors are not cached";
  EXPECT_EQ(small.sum().item<float>(), 1000);
  EXPECT_EQ(torch::ones({0}).numel(), 0);
  EXPECT_TRUE(torch::isfinite(torch::gelu(block(2).to(torch::kFloat))).all().item<bool>());  // allocates raw
}

}  // namespace
}  // namespace mambaseg
