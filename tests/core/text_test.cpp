#include "mambaseg/core/text.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

TEST(Text, LowerCaseLeavesOtherBytes) {
  EXPECT_EQ(lower_case("Az_09\xc3\x84"), "az_09\xc3\x84");
  EXPECT_EQ(lower_ending("A.B/c.NII.GZ"), ".gz");
  EXPECT_EQ(lower_ending("A.B/c"), "");
}

TEST(Text, WholeFileGivesEveryByteOrNamesTheFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
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
}

}  // namespace
}  // namespace mambaseg
