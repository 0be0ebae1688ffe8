#include "mambaseg/core/text.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

TEST(Text, LowerCaseLeavesOtherBytes) {
  EXPECT_EQ(lower_case("Az_09\xc3\x84"), "az_09\xc3\x84");
  EXPECT_EQ(lower_ending("A.B/c.NII.GZ"), ".gz");
  EXPECT_EQ(lower_ending("A.B/c"), "");
}

TEST(Text, WholeFileGivesEveryByteOrNamesTheFile) {
  const auto folder = std::filesystem::temp_directory_path() / "mambaseg_text_test";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "a").string();
  for (const std::string& bytes : {std::string(), std::string("a\r\n\0\x1a b", 7)}) {
    std::ofstream(path, std::ios::binary) << bytes;
    EXPECT_EQ(whole_file(path), bytes);
  }
  for (const std::string& wrong : {folder.string(), path + "b"}) {
    try {
      whole_file(wrong);
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::StartsWith(wrong + ": "));
    }
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace mambaseg
