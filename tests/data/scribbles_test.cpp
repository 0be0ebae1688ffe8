#include "mambaseg/data/scribbles.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr int64_t kWidth = 60, kHeight = 48;

/// A disc of label 1 and a bar of label 2 on background.
PictureNumbers drawn() {
  PictureNumbers labels{kWidth, kHeight, {}, false};
  for (int64_t y = 0; y < kHeight; ++y)
    for (int64_t x = 0; x < kWidth; ++x) {
      const bool disc = (x - 18) * (x - 18) + (y - 24) * (y - 24) < 144;
      const bool bar = x >= 38 && x < 48 && y >= 6 && y < 42;
      labels.values.push_back(disc ? 1 : bar ? 2 : 0);
    }
  return labels;
}

int64_t count(const PictureNumbers& picture, int32_t value) {
  return std::count(picture.values.begin(), picture.values.end(), value);
}

TEST(Scribbles, LieInsideTheirLabelAndCoverLittleOfIt) {
  const PictureNumbers labels = drawn();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const PictureNumbers out = scribbles_of(labels, {.width = 3}, Random(seed));
    for (size_t i = 0; i < out.values.size(); ++i)
      EXPECT_TRUE(out.values[i] == 128 || out.values[i] == labels.values[i]) << i;
    for (const int32_t label : {0, 1, 2}) {
      EXPECT_GE(count(out, label), 9) << label;  // a square of the brush at least
      EXPECT_LE(2 * count(out, label), count(labels, label)) << label;
    }
  }
}

TEST(Scribbles, RunAlongTheMiddle) {
  const PictureNumbers out = scribbles_of(drawn(), {.width = 1}, Random(3));
  int64_t top = kHeight, bottom = 0;
  for (int64_t y = 0; y < kHeight; ++y)
    for (int64_t x = 0; x < kWidth; ++x) {
      const int32_t value = out.values[static_cast<size_t>(y * kWidth + x)];
      EXPECT_TRUE(value != 1 || (x - 18) * (x - 18) + (y - 24) * (y - 24) <= 72) << x << " " << y;
      if (value != 2) continue;
      EXPECT_TRUE(x >= 40 && x < 46) << x;  // 10 wide: at least 3 of 5 deep
      top = std::min(top, y), bottom = std::max(bottom, y);
    }
  EXPECT_GE(bottom - top, 15);  // to the far end from wherever it began, of 36
}

TEST(Scribbles, EachConnectedPartHasOne) {
  PictureNumbers labels{20, 9, std::vector<int32_t>(180, 0), false};
  for (int64_t y = 2; y < 7; ++y)
    for (int64_t x = 0; x < 20; ++x)
      if ((x >= 2 && x < 8) || (x >= 11 && x < 18)) labels.values[static_cast<size_t>(y * 20 + x)] = 5;
  labels.values[19] = 5;  // a speck, which a stroke would cover
  const PictureNumbers out = scribbles_of(labels, {.width = 1}, Random(1));
  const auto any = [&](int64_t from, int64_t to) {
    for (int64_t y = 2; y < 7; ++y)
      for (int64_t x = from; x < to; ++x)
        if (out.values[static_cast<size_t>(y * 20 + x)] == 5) return true;
    return false;
  };
  EXPECT_TRUE(any(2, 8));
  EXPECT_TRUE(any(11, 18));
  EXPECT_EQ(out.values[19], 128);
  PictureNumbers speck{3, 3, {0, 0, 0, 0, 7, 0, 0, 0, 0}, false};
  EXPECT_EQ(scribbles_of(speck, {}, Random(1)).values[4], 7) << "all that there is of a label";
}

TEST(Scribbles, DependOnTheSeed) {
  std::set<std::vector<int32_t>> seen;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto out = scribbles_of(drawn(), {}, Random(seed)).values;
    EXPECT_EQ(scribbles_of(drawn(), {}, Random(seed)).values, out);
    seen.insert(out);
  }
  EXPECT_GE(seen.size(), 8u);
}

TEST(Scribbles, RefuseLabelsThatMeanUnlabelled) {
  try {
    scribbles_of(drawn(), {.unlabelled = 2}, Random(1));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "expected labels other than 2, which is to stand for unlabelled");
  }
}

}  // namespace
}  // namespace mambaseg
