#include "mambaseg/data/nonzero_mask.h"

#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/data/crop.h"

namespace mambaseg {
namespace {

Volume<float> block(const Box& box, float value) {
  Geometry grid;
  grid.size = {8, 7, 6};
  Volume<float> out(grid);
  for (int64_t k = box.start[2]; k < box.end(2); ++k)
    for (int64_t j = box.start[1]; j < box.end(1); ++j)
      for (int64_t i = box.start[0]; i < box.end(0); ++i) out.at(i, j, k) = value;
  return out;
}

TEST(NonzeroMask, JoinsChannelsAndFillsWhatTheyEnclose) {
  auto shell = block({{1, 1, 1}, {5, 5, 4}}, -2);
  shell.at(3, 3, 2) = 0;  // enclosed
  const Volume<float> other = block({{7, 6, 5}, {1, 1, 1}}, 1);
  const auto mask = nonzero_mask(std::vector{shell, other});
  EXPECT_EQ(mask.at(3, 3, 2), 1);
  EXPECT_EQ(mask.at(0, 0, 0), 0);
  EXPECT_EQ(mask.at(7, 6, 5), 1);
  EXPECT_EQ(nonzero_box(mask), (Box{{1, 1, 1}, {7, 6, 5}}));
}

TEST(NonzeroMask, AHoleThatReachesTheBorderStays) {
  auto shell = block({{0, 1, 1}, {5, 5, 4}}, 3);
  shell.at(2, 3, 2) = shell.at(1, 3, 2) = shell.at(0, 3, 2) = 0;  // a tunnel to the face i = 0
  auto diagonal = block({{1, 1, 1}, {5, 5, 4}}, 3);
  diagonal.at(2, 2, 2) = diagonal.at(1, 1, 1) = 0;  // touch at a corner only
  EXPECT_EQ(nonzero_mask(std::vector{shell}).at(2, 3, 2), 0);
  EXPECT_EQ(nonzero_mask(std::vector{diagonal}).at(2, 2, 2), 1);
  EXPECT_THROW(nonzero_mask({}), Error);
}

}  // namespace
}  // namespace mambaseg
