#include "mambaseg/report/walks_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(WalkPicture, StepsStandInTheirCellsAndTheLineBreaksBetweenSlices) {
  // Two slices of two tokens; the walk 0, 1 | 3, 2.
  const std::string svg = walk_picture({0, 1, 3, 2}, {2, 1, 2});
  EXPECT_THAT(svg, HasSubstr("<rect x=\"0\" y=\"0\""));
  EXPECT_EQ(count_of(svg, "<rect"), 4u);
  EXPECT_THAT(svg, HasSubstr("d=\"M15 15L45 15M115 15L85 15\""));
  EXPECT_THAT(svg, HasSubstr("<text x=\"104\" y=\"10\">2</text>"));
  EXPECT_THROW(walk_picture({0, 1}, {2, 1, 2}), Error);
}

TEST(WalksPage, HasAPictureOfEveryWalk) {
  std::vector<const ScanOrderFamily*> families;
  size_t walks = 0;
  const TokenGrid plane{1, 4, 6}, volume{3, 4, 5};
  for (const ScanOrderFamily& family : scan_order_families()) {
    families.push_back(&family);
    for (int orientation = 0; orientation < family.orientations; ++orientation)
      walks += family.make(family.planar ? plane : volume, orientation).size();
  }
  const std::string page = walks_page(families, plane, volume);
  EXPECT_EQ(count_of(page, "<svg"), walks);
  for (const ScanOrderFamily& family : scan_order_families()) EXPECT_THAT(page, HasSubstr(family.name));
}

}  // namespace
}  // namespace mambaseg
