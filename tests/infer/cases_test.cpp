#include "mambaseg/infer/cases.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "mambaseg/core/error.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

class Cases : public testing::Test {
 protected:
  std::string touch(const std::string& name) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << "x";
    return (folder_ / name).string();
  }
  TemporaryFolder temporary_;
  fs::path folder_ = temporary_.string();
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
  const auto cases = find_cases(folder_.string(), "out", 2);
  ASSERT_EQ(cases.size(), 2U);
  EXPECT_EQ(cases[0].name, "a");
  EXPECT_EQ(cases[0].inputs, (std::vector<std::string>{first, second}));
}

TEST_F(Cases, NumbersOfCasesAreNoChannelsOfAModelOfOne) {
  for (const char* name : {"amos_0000.nii.gz", "amos_0001.nii.gz", "amos_0008.nii.gz"}) touch(name);
  const auto cases = find_cases(folder_.string(), "out", 1);
  ASSERT_EQ(cases.size(), 3U);
  EXPECT_EQ(cases[2].name, "amos_0008");
  EXPECT_EQ(find_cases(touch("amos_0008.nii.gz"), "out", 1)[0].name, "amos_0008");
  try {
    find_cases(folder_.string(), "out", 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("case amos lacks channel 2"), std::string::npos) << error.what();
  }
}

TEST_F(Cases, OfEveryVolumeFormat) {
  for (const char* name : {"a.mhd", "a.raw", "b.nhdr", "b.raw", "c.hdr", "c.img", "d.nrrd", "d.seg.nrrd",
                           "e.mha", "preview.png"})
    touch(name);
  const auto cases = find_cases(folder_.string(), "out");
  ASSERT_EQ(cases.size(), 5U);
  EXPECT_EQ(cases[0].inputs[0], (folder_ / "a.mhd").string());
  EXPECT_EQ(cases[2].inputs[0], (folder_ / "c.hdr").string());
  EXPECT_EQ(cases[3].inputs[0], (folder_ / "d.nrrd").string());
}

TEST_F(Cases, TemplatesOfFreeSurferAreNoSubjects) {
  touch("store/fsaverage/mri/brainmask.mgz");
  touch("store/bert/mri/brainmask.mgz");
  const fs::path subjects = folder_ / "subjects";
  fs::create_directory(subjects);
  for (const char* name : {"fsaverage", "fsaverage5", "lh.EC_average", "cvs_avg35"})
    fs::create_directory_symlink("../store/fsaverage", subjects / name);
  fs::create_directory_symlink("../store/bert", subjects / "bert");
  fs::create_directory_symlink("/nowhere/gone", subjects / "gone");
  const auto cases = find_cases(subjects.string(), "out");
  ASSERT_EQ(cases.size(), 2U);
  EXPECT_EQ(cases[0].name, "bert");
  EXPECT_EQ(cases[1].inputs[0], (subjects / "gone").string());  // reading it fails and says why
}

TEST_F(Cases, ASubjectWithoutItsImageIsACaseThatFails) {
  touch("sub-01/mri/norm.mgz");
  touch("sub-02/mri/orig.mgz");
  const auto cases = find_cases(folder_.string(), "out");
  ASSERT_EQ(cases.size(), 2U);
  EXPECT_EQ(cases[1].inputs[0], (folder_ / "sub-02/mri/norm.mgz").string());  // reading it fails and names it
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
  EXPECT_THROW(find_cases(folder_.string(), "out", 2), Error);  // channel 1 is missing
}

}  // namespace
}  // namespace mambaseg
