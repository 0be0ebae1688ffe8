#include "mambaseg/data/bids.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Bids : public testing::Test {
 protected:
  void touch(const std::string& name) {
    const std::filesystem::path path = folder_ / (name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "x";
  }
  std::vector<Case> read(std::vector<std::string> channels, const std::string& mask) {
    DatasetSettings settings;
    settings.folder = folder_.string();
    settings.channels = std::move(channels);
    settings.mask = mask;
    return read_bids(settings, problems_);
  }
  TemporaryFolder folder_;
  Problems problems_;
};

TEST_F(Bids, AtlasTree) {
  for (const std::string subject : {"r002s003", "r001s001"}) {
    const std::string stem = subject.substr(0, 4) + "/sub-" + subject + "/ses-1/anat/sub-" + subject +
                             "_ses-1_space-MNI152NLin2009aSym_";
    touch(stem + "T1w.nii.gz");
    touch(stem + "T1w.json");
    touch(stem + "label-L_desc-T1lesion_mask.nii.gz");
  }
  const auto cases = read({"T1w"}, "mask");
  ASSERT_EQ(cases.size(), 2U);
  EXPECT_EQ(cases[0].id, "sub-r001s001_ses-1");
  EXPECT_EQ(cases[0].subject, "sub-r001s001");
  EXPECT_THAT(cases[0].images, ElementsAre(HasSubstr("T1w.nii.gz")));
  EXPECT_THAT(cases[0].labels, HasSubstr("lesion_mask.nii.gz"));
  EXPECT_NO_THROW(problems_.raise("tree"));
}

TEST_F(Bids, IslesTreeWithoutFlair) {
  const std::string raw = "rawdata/sub-strokecase0001/ses-0001/", stem = "sub-strokecase0001_ses-0001_";
  touch(raw + "dwi/" + stem + "adc.nii.gz");
  touch(raw + "dwi/" + stem + "dwi.nii.gz");
  touch(raw + "anat/" + stem + "FLAIR.nii.gz");
  touch("derivatives/sub-strokecase0001/ses-0001/" + stem + "msk.nii.gz");
  const auto cases = read({"dwi", "adc"}, "msk");
  ASSERT_EQ(cases.size(), 1U);
  EXPECT_THAT(cases[0].images, ElementsAre(HasSubstr("_dwi.nii.gz"), HasSubstr("_adc.nii.gz")));
  EXPECT_NO_THROW(problems_.raise("tree"));
}

TEST_F(Bids, MissingAndAmbiguousFilesAreListed) {
  touch("sub-1/anat/sub-1_T1w.nii.gz");
  touch("sub-2/anat/sub-2_T1w.nii.gz");
  touch("sub-2/anat/sub-2_run-2_T1w.nii.gz");
  touch("sub-2/anat/sub-2_label-L_mask.nii.gz");
  read({"T1w"}, "mask");
  try {
    problems_.raise("tree");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("2 problems"));
    EXPECT_THAT(error.what(), HasSubstr("sub-1 has no file *_mask"));
    EXPECT_THAT(error.what(), HasSubstr("sub-2 has 2 files *_T1w"));
  }
  EXPECT_THROW(read({}, "mask"), UsageError);
}

TEST_F(Bids, MoreThanTheLastWordTellsFilesApart) {
  touch("sub-1/anat/sub-1_T1w.nii.gz");
  touch("derivatives/sub-1/anat/sub-1_desc-preproc_T1w.nii.gz");
  touch("derivatives/sub-1/anat/sub-1_desc-brain_mask.nii.gz");
  touch("derivatives/sub-1/anat/sub-1_label-lesion_mask.nii.gz");
  const auto cases = read({"desc-preproc_T1w"}, "label-lesion_mask");
  ASSERT_EQ(cases.size(), 1U);
  EXPECT_THAT(cases[0].images, ElementsAre(HasSubstr("sub-1_desc-preproc_T1w.nii.gz")));
  EXPECT_THAT(cases[0].labels, HasSubstr("label-lesion_mask.nii.gz"));
  EXPECT_NO_THROW(problems_.raise("tree"));
}

TEST_F(Bids, SubjectsMayShareAFile) {
  touch("no_lesion.nii.gz");
  for (const std::string id : {"sub-1", "sub-2"}) {
    touch(id + "/" + id + "_T1w.nii.gz");
    std::filesystem::create_symlink("../no_lesion.nii.gz", folder_ / (id + "/" + id + "_mask.nii.gz"));
  }
  EXPECT_EQ(read({"T1w"}, "mask").size(), 2U);
  EXPECT_NO_THROW(problems_.raise("tree"));
}

TEST_F(Bids, LinkedSubjectsFoldersAndFiles) {
  for (const std::string n : {"1", "2", "3"}) {
    touch("store/s" + n + "/ses-1/anat/sub-" + n + "_ses-1_T1w.nii.gz");
    touch("store/s" + n + "/ses-1/anat/sub-" + n + "_ses-1_mask.nii.gz");
  }
  const std::filesystem::path root = folder_ / "study", store = folder_ / "store";
  namespace fs = std::filesystem;
  fs::create_directories(root / "sub-2/ses-1");
  fs::create_directories(root / "sub-3/ses-1/anat");
  fs::create_directory_symlink("../store/s1", root / "sub-1");
  fs::create_directory_symlink("../../../store/s2/ses-1/anat", root / "sub-2/ses-1/anat");
  for (const char* name : {"sub-3_ses-1_T1w.nii.gz", "sub-3_ses-1_mask.nii.gz"})
    fs::create_symlink(store / "s3/ses-1/anat" / name, root / "sub-3/ses-1/anat" / name);
  fs::create_directory_symlink("sub-1", root / "derivatives");  // the same files on another way
  DatasetSettings settings;
  settings.folder = root.string();
  settings.channels = {"T1w"};
  const auto cases = read_bids(settings, problems_);
  EXPECT_THAT(problems_.lines(), testing::IsEmpty());
  EXPECT_EQ(cases.size(), 3U);

  fs::create_directory_symlink("..", root / "sub-2/back");
  fs::create_directory_symlink("/nowhere/sub-4", root / "sub-4");
  EXPECT_EQ(read_bids(settings, problems_).size(), 3U);
  EXPECT_THAT(problems_.lines(),
              testing::UnorderedElementsAre(HasSubstr("sub-2/back is a link to a folder above it"),
                                            HasSubstr("sub-4 is a link to /nowhere/sub-4, which is not")));
}

}  // namespace
}  // namespace mambaseg
