#include "mambaseg/segment/findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/data/sides.h"
#include "mambaseg/segment/picture_segmenter.h"
#include "mambaseg/segment/volume_segmenter.h"
#include "tests/metrics/blobs.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(OtherSides, PairsNamesThatDifferInTheSideAlone) {
  EXPECT_THAT(other_sides({{"Left-Hippocampus", {17}},
                           {"Right-Hippocampus", {53}},
                           {"Brain-Stem", {16}},
                           {"left CA1", {1}},
                           {"right CA1", {2}},
                           {"ctx-lh-cuneus", {1005}},
                           {"ctx-rh-cuneus", {2005}},
                           {"Left-Caudate", {11}},  // alone
                           {"Leftover", {90}},      // no sides
                           {"Rightover", {91}}}),
              UnorderedElementsAre(Pair(17, 53), Pair(53, 17), Pair(1, 2), Pair(2, 1), Pair(1005, 2005),
                                   Pair(2005, 1005)));
  EXPECT_THAT(
      other_side_maps({{"Brain-Stem", {16}}, {"Left-Hippocampus", {17}}, {"Right-Hippocampus", {53}}}),
      ElementsAre(0, 1, 3, 2));
  EXPECT_THAT(other_side_maps({{"Brain-Stem", {16}}, {"Left-Caudate", {11}}}), ElementsAre());
}

TEST(Agreement, IsDiceOfEachNumber) {
  Agreement agreement;
  for (const auto& [one, other] :
       std::vector<std::pair<int, int>>{{1, 1}, {1, 1}, {1, 0}, {1, 2}, {0, 2}, {2, 2}})
    agreement.add(one, other);
  EXPECT_DOUBLE_EQ(*agreement.dice({1}), 2.0 * 2 / (4 + 2));
  EXPECT_DOUBLE_EQ(*agreement.dice({2}), 2.0 * 1 / (1 + 3));
  EXPECT_DOUBLE_EQ(*agreement.dice({1, 2}),
                   2.0 * 4 / (5 + 5));  // a region: which of its numbers does not matter
  EXPECT_FALSE(agreement.dice({3}).has_value());
  Findings findings;
  findings.structures = {{1, "one"}, {2, "two"}, {3, "three"}};
  const std::vector<std::vector<int64_t>> members{{1}, {2}, {3}};
  judge_agreement(findings, agreement, members, 0.6);
  EXPECT_DOUBLE_EQ(*findings.quality(), (2.0 / 3 + 0.5) / 2);
  ASSERT_EQ(findings.flags.size(), 1u);
  EXPECT_THAT(findings.flags[0], HasSubstr("two 0.5"));
  EXPECT_THAT(findings.flags[0], testing::Not(HasSubstr("one")));
  judge_agreement(findings, agreement, members, 0, 0.58);
  EXPECT_EQ(findings.flags.size(), 1u);  // the mean is 0.583
  judge_agreement(findings, agreement, members, 0, 0.6);
  ASSERT_EQ(findings.flags.size(), 2u);
  EXPECT_THAT(findings.flags[1], HasSubstr("all over: mean Dice 0.58, expected 0.6"));
}

// Whatever the axes of the file, what moves is the patient's left and right, and twice is nothing.
TEST(Mirrored, ExchangesLeftAndRightInAnyOrientation) {
  Volume<int32_t> ras(grid({5, 4, 3}, {1, 2, 3}));
  ras.at(0, 1, 2) = 17;
  ras.at(3, 0, 0) = 16;
  const std::map<int64_t, int64_t> sides{{17, 53}, {53, 17}};
  Volume<int32_t> expected(ras.geometry);
  expected.at(4, 1, 2) = 53;
  expected.at(1, 0, 0) = 16;
  for (const std::string orientation : {"RAS", "LIA", "PSR", "ILP"}) {
    const AxisPermutation turn = permutation_between("RAS", orientation);
    const Volume<int32_t> turned = permuted(ras, turn);
    const Volume<int32_t> got = mirrored(turned, sides);
    EXPECT_EQ(got.voxels, permuted(expected, turn).voxels) << orientation;
    EXPECT_EQ(got.geometry, turned.geometry);
    EXPECT_EQ(mirrored(got, sides).voxels, turned.voxels);
    EXPECT_EQ(std::get<std::vector<int32_t>>(mirrored(Image{turned.geometry, turned.voxels}).voxels),
              mirrored(turned, {}).voxels);
  }
}

TEST(WithGamma, KeepsTheLeastValueAndThe999Point) {
  std::vector<int16_t> values(1000, 200);
  for (size_t v = 0; v < 500; ++v) values[v] = -100;
  values[998] = 100;
  values[999] = 900;  // beyond the point
  const Image image{grid({10, 10, 10}, {1, 1, 1}), values};
  const auto got = std::get<std::vector<float>>(with_gamma(image, 2).voxels);
  EXPECT_FLOAT_EQ(got[0], -100);
  EXPECT_FLOAT_EQ(got[600], 200);
  EXPECT_FLOAT_EQ(got[998], -100 + 300 * (200.f / 300) * (200.f / 300));
  EXPECT_GT(got[999], 900);
  const Image flat{image.geometry, std::vector<uint8_t>(1000, 7)};
  EXPECT_EQ(std::get<std::vector<uint8_t>>(with_gamma(flat, 2).voxels).size(), 1000u);
}

TEST(Mirrored, PicturesExchangeColumns) {
  const Picture picture{3, 2, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}};
  EXPECT_THAT(mirrored(picture).values,
              ElementsAre(7, 8, 9, 4, 5, 6, 1, 2, 3, 16, 17, 18, 13, 14, 15, 10, 11, 12));
}

}  // namespace
}  // namespace mambaseg
