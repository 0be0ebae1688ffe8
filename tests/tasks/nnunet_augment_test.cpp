#include "mambaseg/tasks/volumes/nnunet_augment.h"

#include <gtest/gtest.h>

namespace mambaseg {
namespace {

torch::Tensor drawn_image() {
  torch::manual_seed(2);
  return torch::randn({2, 9, 8, 7});
}

torch::Tensor augmented(const NnunetAugmentSettings& settings, uint64_t seed) {
  auto image = drawn_image();
  Random random(seed);
  augment_as_nnunet(settings, image, random);
  return image;
}

TEST(NnunetAugment, NothingHappensByDefaultAndASeedDecidesTheRest) {
  EXPECT_TRUE(augmented({}, 1).equal(drawn_image()));
  const NnunetAugmentSettings all{1, 1, 1, 1, 1, 1, 1};
  const auto first = augmented(all, 5);
  EXPECT_TRUE(first.equal(augmented(all, 5)));
  EXPECT_FALSE(first.equal(augmented(all, 6)));
  EXPECT_TRUE(torch::isfinite(first).all().item<bool>());
}

TEST(NnunetAugment, EachChangeDoesWhatItsNameSays) {
  const auto image = drawn_image();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    NnunetAugmentSettings one;
    one.brightness = 1;
    auto factor = augmented(one, seed) / image;
    for (int64_t c = 0; c < 2; ++c) {
      EXPECT_LT((factor[c].max() - factor[c].min()).item<float>(), 1e-4);
      EXPECT_GE(factor[c].mean().item<float>(), 0.75F - 1e-5F);
      EXPECT_LE(factor[c].mean().item<float>(), 1.25F + 1e-5F);
    }
    one = {};
    one.contrast = 1;
    EXPECT_LE(augmented(one, seed).max().item<float>(), image.max().item<float>());
    one = {};
    one.gamma = one.inverted_gamma = 1;
    const auto bent = augmented(one, seed);
    EXPECT_NEAR(bent[0].mean().item<float>(), image[0].mean().item<float>(), 1e-4);
    EXPECT_NEAR(bent[0].std().item<float>(), image[0].std().item<float>(), 1e-3);
    one = {};
    one.blur = 1;
    const auto blurred = augmented(one, seed);
    for (int64_t c = 0; c < 2; ++c)
      if (!blurred[c].equal(image[c])) {
        EXPECT_LT(blurred[c].std().item<float>(), image[c].std().item<float>());
      }
    one = {};
    one.noise = 1;
    EXPECT_LT((augmented(one, seed) - image).std().item<float>(), 0.11);
  }
}

TEST(NnunetAugment, AConstantImageStaysConstantWithoutNoise) {
  auto image = torch::full({1, 6, 6, 6}, 3.0F);
  Random random(4);
  augment_as_nnunet({0, 1, 0, 1, 1, 1, 1}, image, random);
  EXPECT_LT((image - 3).abs().max().item<float>(), 1e-5);
}

}  // namespace
}  // namespace mambaseg
