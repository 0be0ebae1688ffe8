#include "mambaseg/tasks/volumes/training_patches.h"

#include <sys/mman.h>

#include <limits>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/ignored_class.h"

namespace mambaseg {
namespace {

/// A case whose image values tell the place (i * 100 + j * 10 + k, two channels), class 1 in one corner box.
PreparedCase drawn_case(const Index3& size) {
  PreparedCase one;
  one.id = "drawn";
  const auto i = torch::arange(size[0], torch::kFloat32).view({-1, 1, 1}) * 100;
  const auto j = torch::arange(size[1], torch::kFloat32).view({1, -1, 1}) * 10;
  const auto k = torch::arange(size[2], torch::kFloat32).view({1, 1, -1});
  const auto place = i + j + k + 1;
  one.image_CIJK = torch::stack({place, -place}).contiguous();
  one.classes_IJK = torch::zeros({size[0], size[1], size[2]}, torch::kUInt8);
  one.classes_IJK.slice(0, 0, 2).slice(1, 0, 2).slice(2, 0, 2).fill_(1);
  return one;
}

Plan drawn_plan(const std::vector<int64_t>& patch) {
  Plan plan;
  plan.patch = patch;
  plan.classes = {{"left", {1}}, {"right", {2}}};
  return plan;
}

PatchTransform identity_resampled() {
  PatchTransform transform;
  transform.resample = true;
  return transform;
}

/// A plan of two regions, the second inside the first, and an ignored label.
Plan region_plan(const std::vector<int64_t>& patch) {
  Plan plan;
  plan.patch = patch;
  plan.classes = {{"whole", {1, 2}}, {"core", {2}}};
  plan.regions_class_order = {1, 2};
  plan.ignore_label = 3;
  return plan;
}

TEST(PatchSampler, RegionsAreDrawnAlikeAndIgnoredVoxelsAreNoCentre) {
  PreparedCase one = drawn_case({40, 40, 40});
  one.classes_IJK.fill_(kIgnoredClass);
  one.classes_IJK.slice(0, 8, 12).slice(1, 8, 12).slice(2, 8, 12).fill_(1);
  one.classes_IJK[30][30][30] = 2;  // one voxel, yet half of the patches are for its region
  SamplingSettings sampling;
  sampling.kind = "random";
  sampling.foreground = 1;
  const PatchSampler foreground(one, sampling, {}, region_plan({4, 4, 4}));
  int core = 0;
  for (int64_t i = 0; i < 200; ++i) {
    const auto classes = foreground.draw(i, Random(1, static_cast<uint64_t>(i))).classes;
    EXPECT_TRUE((classes != kIgnoredClass).any().item<bool>());
    core += (classes == 2).any().item<bool>();
  }
  EXPECT_GT(core, 70);
  EXPECT_LT(core, 130);
  sampling.foreground = 0;
  const PatchSampler anywhere(one, sampling, {}, region_plan({4, 4, 4}));
  for (int64_t i = 0; i < 50; ++i)
    EXPECT_TRUE(
        (anywhere.draw(i, Random(1, static_cast<uint64_t>(i))).classes != kIgnoredClass).any().item<bool>());
}

TEST(GridPositions, AreThePapersThree) {
  EXPECT_THAT(grid_positions(160, 96, 3), testing::ElementsAre(0, 32, 64));
  EXPECT_THAT(grid_positions(161, 96, 3), testing::ElementsAre(0, 32, 65));
  EXPECT_THAT(grid_positions(97, 96, 3), testing::ElementsAre(0, 1));
  EXPECT_THAT(grid_positions(96, 96, 3), testing::ElementsAre(0));
  EXPECT_THAT(grid_positions(100, 96, 1), testing::ElementsAre(2));
}

TEST(CutPatch, WithoutTransformIsTheSlice) {
  const PreparedCase one = drawn_case({7, 6, 5});
  const auto patch = cut_patch(one, {1, 2, 0}, {4, 3, 5}, {}, 0, {0, 1});
  const auto expected = one.image_CIJK.slice(1, 1, 5).slice(2, 2, 5);
  EXPECT_TRUE(torch::equal(patch.image, expected));
  EXPECT_EQ(patch.classes.sum().item<int64_t>(), 0);
  const auto resampled = cut_patch(one, {1, 2, 0}, {4, 3, 5}, identity_resampled(), 0, {0, 1});
  EXPECT_TRUE(torch::allclose(resampled.image, expected));
}

TEST(CutPatch, UsesTheScaleOfBytes) {
  PreparedCase one = drawn_case({4, 4, 4});
  one.image_CIJK = torch::full({1, 4, 4, 4}, 51, torch::kUInt8);
  one.scale = 1.0f / 255;
  EXPECT_NEAR(cut_patch(one, {0, 0, 0}, {4, 4, 4}, {}, 0, {0, 1}).image[0][1][1][1].item<float>(), 0.2, 1e-6);
  EXPECT_NEAR(
      cut_patch(one, {0, 0, 0}, {4, 4, 4}, identity_resampled(), 0, {0, 1}).image[0][1][1][1].item<float>(),
      0.2, 1e-6);
}

TEST(CutPatch, FlipsAndExchangesSides) {
  const PreparedCase one = drawn_case({4, 5, 6});
  PatchTransform flip;
  flip.flip = {true, false, true};
  const auto patch = cut_patch(one, {0, 0, 0}, {4, 5, 6}, flip, 0, {0, 2, 1});
  EXPECT_TRUE(torch::equal(patch.image, torch::flip(one.image_CIJK, {1, 3})));
  EXPECT_TRUE(torch::equal(patch.classes, torch::flip(one.classes_IJK, {0, 2}).to(torch::kInt64) * 2));
  // The same through the interpolating path.
  flip.resample = true;
  const auto resampled = cut_patch(one, {0, 0, 0}, {4, 5, 6}, flip, 0, {0, 2, 1});
  EXPECT_TRUE(torch::allclose(resampled.image, patch.image));
  EXPECT_TRUE(torch::equal(resampled.classes, patch.classes));
  // A flip along another axis keeps sides.
  flip.flip = {false, true, false};
  EXPECT_EQ(cut_patch(one, {0, 0, 0}, {4, 5, 6}, flip, 0, {0, 2, 1}).classes.max().item<int64_t>(), 1);
}

TEST(CutPatch, QuarterTurnMovesVoxelsExactly) {
  const PreparedCase one = drawn_case({5, 5, 5});
  PatchTransform turn = identity_resampled();
  turn.matrix = {{{0, -1, 0}, {1, 0, 0}, {0, 0, 1}}};  // i <- -j, j <- i
  const auto patch = cut_patch(one, {0, 0, 0}, {5, 5, 5}, turn, 0, {0, 1});
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 5; ++j)
      EXPECT_FLOAT_EQ(patch.image[0][i][j][3].item<float>(), one.image_CIJK[0][4 - j][i][3].item<float>());
}

TEST(CutPatch, IsLinearBetweenVoxelsAndZeroOutside) {
  const PreparedCase one = drawn_case({6, 6, 6});
  PatchTransform half = identity_resampled();
  half.matrix = {{{0.5, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  const auto patch = cut_patch(one, {0, 0, 0}, {6, 6, 6}, half, 0, {0, 1});
  // Voxel i = 2 shows 2.5 + 0.5 * (2 - 2.5) = 2.25.
  EXPECT_NEAR(patch.image[0][2][1][1].item<float>(), 225 + 11 + 1, 1e-3);
  half.matrix[0][0] = 3;
  const auto wide = cut_patch(one, {0, 0, 0}, {6, 6, 6}, half, 0, {0, 1});
  EXPECT_EQ(wide.image[0][0][1][1].item<float>(), 0);  // shows i = -5
}

TEST(CutPatch, ElasticDisplacementsMoveTheirCorner) {
  const PreparedCase one = drawn_case({6, 6, 6});
  PatchTransform elastic = identity_resampled();
  elastic.elastic_size = {2, 2, 2};
  elastic.elastic.assign(8, {0, 0, 0});
  elastic.elastic[0] = {0, 0, 1};
  const auto patch = cut_patch(one, {0, 0, 0}, {6, 6, 6}, elastic, 0, {0, 1});
  EXPECT_FLOAT_EQ(patch.image[0][0][0][0].item<float>(), one.image_CIJK[0][0][0][1].item<float>());
  EXPECT_FLOAT_EQ(patch.image[0][5][0][0].item<float>(), one.image_CIJK[0][5][0][0].item<float>());
}

TEST(PatchSampler, GridVisitsEveryCorner) {
  SamplingSettings sampling;
  const PatchSampler sampler(drawn_case({8, 6, 4}), sampling, {}, drawn_plan({4, 4, 4}));
  EXPECT_EQ(sampler.count(), 9);  // 3 x 3 x 1
  const auto last = sampler.draw(8, Random(1));
  EXPECT_EQ(last.image[0][3][3][3].item<float>(), 100 * 7 + 10 * 5 + 3 + 1);
}

TEST(PatchSampler, RandomPatchesDependOnTheStreamOnly) {
  SamplingSettings sampling;
  sampling.kind = "random";
  sampling.patches_per_case = 5;
  const PatchSampler sampler(drawn_case({16, 16, 16}), sampling, {}, drawn_plan({4, 4, 4}));
  EXPECT_EQ(sampler.count(), 5);
  const auto first = sampler.draw(0, Random(3, 5));
  sampler.draw(1, Random(3, 6));
  EXPECT_TRUE(torch::equal(first.image, sampler.draw(0, Random(3, 5)).image));
  EXPECT_FALSE(torch::equal(first.image, sampler.draw(0, Random(3, 7)).image));
}

TEST(PatchSampler, ForegroundPatchesHoldTheClass) {
  SamplingSettings sampling;
  sampling.kind = "random";
  sampling.foreground = 1;
  const PatchSampler sampler(drawn_case({32, 32, 32}), sampling, {}, drawn_plan({8, 8, 8}));
  for (uint64_t i = 0; i < 20; ++i)
    EXPECT_GT(sampler.draw(0, Random(1, i)).classes.sum().item<int64_t>(), 0) << i;
  sampling.foreground = 0;
  const PatchSampler background(drawn_case({32, 32, 32}), sampling, {}, drawn_plan({8, 8, 8}));
  int64_t hits = 0;
  for (uint64_t i = 0; i < 20; ++i)
    hits += background.draw(0, Random(1, i)).classes.sum().item<int64_t>() > 0;
  EXPECT_LT(hits, 5);
}

TEST(PatchSampler, CaseWithoutLabelsStillGivesPatches) {
  PreparedCase one = drawn_case({8, 8, 8});
  one.classes_IJK.zero_();
  SamplingSettings sampling;
  sampling.kind = "random";
  sampling.foreground = 1;
  EXPECT_EQ(PatchSampler(one, sampling, {}, drawn_plan({4, 4, 4})).draw(0, Random(1)).classes.numel(), 64);
  EXPECT_THROW(PatchSampler(one, sampling, {}, drawn_plan({16, 4, 4})), Error);
}

TEST(ClassPlaces, AreThoseOfAPlainList) {
  auto classes = torch::zeros({40, 50, 30}, torch::kUInt8);
  classes.view(-1).slice(0, 100, 60000, 37).fill_(7);
  classes.view(-1).slice(0, 20001, 20005).fill_(2);
  classes[39][49][29] = 7;
  const ClassPlaces places(classes);
  for (const int64_t k : {2, 7}) {
    const auto list = (classes.view(-1) == k).nonzero().view(-1);
    ASSERT_EQ(places.count(k), list.size(0));
    for (int64_t n = 0; n < list.size(0); ++n) ASSERT_EQ(places.place(k, n), list[n].item<int64_t>());
  }
  EXPECT_EQ(places.count(3), 0);
}

// More voxels than 32 bits count. The zeros are mapped, and take no memory until they are written.
TEST(PatchSampler, FindsTheForegroundOfAVeryLargeVolume) {
  constexpr int64_t kEdge = 1300, kVoxels = kEdge * kEdge * kEdge;
  static_assert(kVoxels > std::numeric_limits<int32_t>::max());
  void* zeros =
      mmap(nullptr, kVoxels, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(zeros, MAP_FAILED);
  {
    PreparedCase one;
    one.id = "large";
    one.classes_IJK = torch::from_blob(zeros, {kEdge, kEdge, kEdge}, torch::kUInt8);
    one.image_CIJK = one.classes_IJK.unsqueeze(0);
    one.classes_IJK[kEdge - 1][kEdge - 1][kEdge - 1] = 1;
    SamplingSettings sampling;
    sampling.kind = "random";
    sampling.foreground = 1;
    const PatchSampler sampler(one, sampling, {}, drawn_plan({8, 8, 8}));
    EXPECT_EQ(sampler.draw(0, Random(1)).classes[7][7][7].item<int64_t>(), 1);
  }
  munmap(zeros, kVoxels);
}

}  // namespace
}  // namespace mambaseg
