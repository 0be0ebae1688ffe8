#include "mambaseg/io/outputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Outputs : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* folder : {"images", "out"}) fs::create_directory(folder_ / folder);
    write_bytes(folder_ / "images/a.nii.gz", "a");
  }
  std::string refusal(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) const {
    std::vector<Output> named;
    for (const std::string& path : outputs) named.push_back({path, "result " + std::to_string(named.size())});
    return error_of([&] { check_outputs(inputs, named); });
  }

  TemporaryFolder folder_;
};

TEST_F(Outputs, ElsewhereIsFine) {
  EXPECT_EQ(refusal({folder_ / "images"}, {folder_ / "out/a.nii.gz", folder_ / "new/sub/a.nii.gz"}), "");
  EXPECT_EQ(refusal({folder_ / "images/a.nii.gz"}, {folder_ / "images/labels.nii.gz"}), "");
  EXPECT_EQ(refusal({folder_ / "images"}, {folder_ / "images/labels/a.nii.gz"}), "");
}

TEST_F(Outputs, AnInputIsNeverReplacedUnderAnyOfItsNames) {
  const std::string input = folder_ / "images/a.nii.gz";
  fs::create_symlink("../images/a.nii.gz", folder_ / "out/link.nii.gz");
  fs::create_hard_link(input, folder_ / "out/second.nii.gz");
  fs::create_directory_symlink("images", folder_ / "same");
  for (const std::string& output : {input, folder_ / "out/../images/./a.nii.gz", folder_ / "out/link.nii.gz",
                                    folder_ / "out/second.nii.gz", folder_ / "same/a.nii.gz"})
    EXPECT_THAT(refusal({input}, {output}), AllOf(HasSubstr("would replace the input"), HasSubstr(input)))
        << output;
  EXPECT_THROW(check_outputs({input}, {{input, "x"}}), UsageError);
  const auto before = fs::current_path();
  fs::current_path(folder_ / "out");
  EXPECT_THAT(refusal({input}, {"new/../../images/a.nii.gz"}), HasSubstr("would replace the input"));
  EXPECT_THAT(refusal({input}, {"new/../link.nii.gz"}), HasSubstr("would replace the input"));
  fs::current_path(before);
}

TEST_F(Outputs, NothingIsPutAmongTheInputs) {
  fs::create_directory_symlink("images", folder_ / "same");
  for (const char* output : {"images/b.nii.gz", "same/b.nii.gz", "out/../images/b.nii.gz"})
    EXPECT_THAT(refusal({folder_ / "images"}, {folder_ / output}), HasSubstr("among the inputs")) << output;
  const auto before = fs::current_path();
  fs::current_path(folder_ / "images");
  EXPECT_THAT(refusal({"."}, {"b.nii.gz"}), HasSubstr("among the inputs"));
  fs::current_path(before);
}

TEST_F(Outputs, TwoOutputsAreTwoFiles) {
  fs::create_directory_symlink("out", folder_ / "same");
  EXPECT_THAT(refusal({}, {folder_ / "out/x.nii.gz", folder_ / "same/x.nii.gz"}),
              HasSubstr("result 0 and result 1 would be one file"));
}

TEST_F(Outputs, VoxelFilesBelongToTheirHeaders) {
  write_bytes(folder_ / "images/p.hdr", "h");
  write_bytes(folder_ / "images/p.img", "v");
  EXPECT_THAT(refusal({folder_ / "images/p.img"}, {folder_ / "images/p.hdr"}), HasSubstr("would replace"));
  EXPECT_THAT(refusal({folder_ / "images/p.hdr"}, {folder_ / "images/p.img"}), HasSubstr("would replace"));
  EXPECT_THAT(refusal({folder_ / "images/q.mhd"}, {folder_ / "images/q.raw"}), HasSubstr("would replace"));
}

TEST_F(Outputs, ANameTellsFileOrFolder) {
  fs::create_directory(folder_ / "folder.txt");
  for (const std::string& name : {std::string("o.nii.gz"), std::string("o.mgz"), std::string("o.nrrd")})
    EXPECT_TRUE(names_volume_file(name)) << name;
  for (const std::string& name :
       {std::string("out"), std::string("run.2"), std::string("o.txt/"), folder_ / "folder.txt"})
    EXPECT_FALSE(names_volume_file(name)) << name;
  for (const char* name : {"o.txt", "o.png", "o.dcm", "o.nii.bz2"})
    EXPECT_THAT(error_of([&] { names_volume_file(name); }), AllOf(HasSubstr(name), HasSubstr(".nii.gz")))
        << name;
}

}  // namespace
}  // namespace mambaseg
