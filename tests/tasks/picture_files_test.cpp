#include "mambaseg/tasks/pictures/picture_files.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;

class PictureFilesOf : public testing::Test {
 protected:
  std::string touch(const std::string& name) {
    std::ofstream(folder_ / name) << "x";
    return (folder_ / name).string();
  }
  TemporaryFolder temporary_;
  std::filesystem::path folder_ = temporary_.string();
};

TEST_F(PictureFilesOf, PicturesOfNnUNetLoseTheNumberOfTheirChannel) {
  touch("a_0000.png");
  touch("b_0000.png");
  auto pictures = find_pictures(folder_.string(), "out");
  ASSERT_EQ(pictures.size(), 2U);
  EXPECT_EQ(pictures[1].name, "b");
  EXPECT_EQ(pictures[1].mask, "out/b.png");
  touch("b_0007.png");
  pictures = find_pictures(folder_.string(), "out");
  ASSERT_EQ(pictures.size(), 3U);
  EXPECT_EQ(pictures[1].name, "b_0000");
}

TEST_F(PictureFilesOf, PicturesOfOtherFormatsAreTold) {
  touch("a.png");
  touch("b.TIF");
  touch("notes.txt");
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& line) { warnings.push_back(line); };
  EXPECT_EQ(find_pictures(folder_.string(), "out", {}, warn).size(), 1U);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("1 of other formats (b.TIF) is left out"), std::string::npos) << warnings[0];
}

TEST_F(PictureFilesOf, NumberedFilesAreTheChannelsOfAPicture) {
  const std::string a0 = touch("a_0000.png"), a1 = touch("a_0001.png"), b0 = touch("b_0000.png"),
                    b1 = touch("b_0001.png");
  EXPECT_EQ(find_pictures(folder_.string(), "out").size(), 4U);  // frames of a video, for all that is known
  const auto pictures = find_pictures(folder_.string(), "out", {}, nullptr, 2);
  ASSERT_EQ(pictures.size(), 2U);
  EXPECT_EQ(pictures[0].name, "a");
  EXPECT_THAT(pictures[0].inputs, ElementsAre(a0, a1));
  EXPECT_THAT(pictures[1].inputs, ElementsAre(b0, b1));
  EXPECT_EQ(pictures[1].probability_of(2, 3), "out/probability/b_class2.png");
  EXPECT_EQ(pictures[1].probability_of(1, 1), "out/probability/b.png");
}

}  // namespace
}  // namespace mambaseg
