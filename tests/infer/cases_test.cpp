#include "mambaseg/infer/cases.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

class Cases : public testing::Test {
 protected:
  Cases() : folder_(fs::temp_directory_path() / ("mambaseg_cases_" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~Cases() override { fs::remove_all(folder_); }
  std::string touch(const std::string& name) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << "x";
    return (folder_ / name).string();
  }
  fs::path folder_;
};

TEST_F(Cases, OneFileToOneFile) {
  const auto cases = find_cases(touch("b_0000.nii.gz"), "out/labels.nii.gz");
  ASSERT_EQ(cases.size(), 1U);
  EXPECT_EQ(cases[0].name, "b");
  EXPECT_EQ(cases[0].output, "out/labels.nii.gz");
  EXPECT_EQ(cases[0].second_output, "out/labels_stage2.nii.gz");
}

TEST_F(Cases, FolderInOrderOfNames) {
  touch("z.nii");
  touch("a_0000.nii.gz");
  touch("m.mgz");
  touch("notes.txt");
  const auto cases = find_cases(folder_.string(), "out");
  ASSERT_EQ(cases.size(), 3U);
  EXPECT_EQ(cases[0].output, "out/a.nii.gz");
  EXPECT_EQ(cases[1].output, "out/m.nii.gz");
  EXPECT_EQ(cases[2].second_output, "out/stage2/z.nii.gz");
}

TEST_F(Cases, NumberedFilesAreChannels) {
  const std::string second = touch("a_0001.nii.gz"), first = touch("a_0000.nii.gz");
  touch("b.nii.gz");
  const auto cases = find_cases(folder_.string(), "out");
  ASSERT_EQ(cases.size(), 2U);
  EXPECT_EQ(cases[0].name, "a");
  EXPECT_EQ(cases[0].inputs, (std::vector<std::string>{first, second}));
}

TEST_F(Cases, FreeSurferSubjects) {
  touch("sub-02/mri/norm.mgz");
  touch("sub-01/mri/norm.mgz");
  const std::string brain = touch("sub-01/mri/brainmask.mgz");
  const auto all = find_cases(folder_.string(), "out");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].name, "sub-01");
  EXPECT_EQ(all[0].inputs, std::vector<std::string>{brain});
  const auto one = find_cases((folder_ / "sub-02").string(), "labels.mgz");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].output, "labels.mgz");
}

TEST_F(Cases, ClearErrors) {
  EXPECT_THROW(find_cases((folder_ / "missing").string(), "out"), Error);
  EXPECT_THROW(find_cases(folder_.string(), "out"), Error);
  touch("a.nii.gz");
  EXPECT_THROW(find_cases(folder_.string(), "labels.nii.gz"), UsageError);
  touch("a_0000.nii.gz");
  EXPECT_THROW(find_cases(folder_.string(), "out"), Error);  // twice the case "a"
  fs::remove(folder_ / "a.nii.gz");
  touch("a_0002.nii.gz");
  EXPECT_THROW(find_cases(folder_.string(), "out"), Error);  // channel 1 is missing
}

}  // namespace
}  // namespace mambaseg
