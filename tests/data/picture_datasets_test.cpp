#include "mambaseg/data/picture_datasets.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class PictureDatasets : public testing::Test {
 protected:
  void touch(const std::string& path) const {
    fs::create_directories(fs::path(folder / path).parent_path());
    write_bytes(folder / path, "x");
  }
  DatasetSettings settings() const {
    DatasetSettings settings;
    settings.folder = folder.string();
    return settings;
  }
  std::vector<std::string> ids() const {
    std::vector<std::string> ids;
    for (const Case& one : read_dataset(settings())) ids.push_back(one.id);
    return ids;
  }
  std::string refusal() const {
    try {
      read_dataset(settings());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder;
};

TEST_F(PictureDatasets, KvasirPairsEqualNames) {
  for (const char* name : {"b", "a"})
    for (const char* sub : {"images/", "masks/"}) touch(std::string(sub) + name + ".jpg");
  touch("images/Thumbs.db");
  touch("images/.hidden.jpg");
  const auto cases = read_dataset(settings());
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[0].id, "a");
  EXPECT_THAT(cases[0].images, ElementsAre(folder / "images/a.jpg"));
  EXPECT_EQ(cases[0].labels, folder / "masks/a.jpg");
}

TEST_F(PictureDatasets, MasksMayHaveAnotherFormatAndTheirOwnEnding) {
  touch("images/a.JPG");
  touch("images/b.bmp");
  touch("masks/a_mask.png");
  touch("masks/b.png");
  EXPECT_THAT(ids(), ElementsAre("a", "b"));
}

TEST_F(PictureDatasets, SubsetsOfTheDatasetAreTheSplit) {
  for (const char* place : {"train", "validation", "test"})
    for (const char* sub : {"/images/", "/masks/"}) touch(std::string(place) + sub + "1.png");
  const auto cases = read_dataset(settings());
  const Split split = split_cases(cases, {});
  ASSERT_EQ(split.train.size(), 1u);
  EXPECT_EQ(split.train[0].id, "train_1");
  EXPECT_EQ(split.validation.at(0).id, "validation_1");
  EXPECT_EQ(split.test.at(0).id, "test_1");
  SplitSettings lists;
  lists.train = {"test_1"};
  EXPECT_EQ(split_cases(cases, lists).train.at(0).id, "test_1");
}

TEST_F(PictureDatasets, IsicAsItIsDownloaded) {
  touch("ISIC2018_Task1-2_Training_Input/ISIC_0000001.jpg");
  touch("ISIC2018_Task1-2_Training_Input/attribution.txt");
  touch("ISIC2018_Task1_Training_GroundTruth/ISIC_0000001_segmentation.png");
  touch("ISIC2018_Task1-2_Validation_Input/ISIC_0000002.jpg");
  touch("ISIC2018_Task2_Training_GroundTruth_v3/ISIC_0000001_attribute_globules.png");
  const auto cases = read_dataset(settings());
  ASSERT_EQ(cases.size(), 1u);
  EXPECT_EQ(cases[0].id, "ISIC_0000001");
  EXPECT_THAT(cases[0].labels, HasSubstr("ISIC_0000001_segmentation.png"));
  fs::remove_all(folder / "ISIC2018_Task1_Training_GroundTruth");
  EXPECT_THAT(refusal(), HasSubstr("ISIC2018_Task1_Training_GroundTruth"));
}

TEST_F(PictureDatasets, Ph2AsItIsDownloaded) {
  for (const std::string id : {"IMD002", "IMD003"}) {
    const std::string start = "PH2 Dataset images/" + id + "/" + id;
    touch(start + "_Dermoscopic_Image/" + id + ".bmp");
    touch(start + "_lesion/" + id + "_lesion.bmp");
    touch(start + "_roi/" + id + "_R1_Label3.bmp");
  }
  touch("PH2_dataset.txt");
  EXPECT_THAT(ids(), ElementsAre("IMD002", "IMD003"));
}

TEST_F(PictureDatasets, EverythingThatDoesNotPairIsTold) {
  touch("images/a.jpg");
  touch("images/b.jpg");
  touch("images/b.png");
  touch("masks/b.png");
  touch("masks/c_segmentation.png");
  const std::string text = refusal();
  EXPECT_THAT(text, HasSubstr("3 problems"));
  EXPECT_THAT(text, HasSubstr("images/a.jpg has no mask"));
  EXPECT_THAT(text, HasSubstr("two pictures of one name"));
  EXPECT_THAT(text, HasSubstr("c_segmentation.png has no picture"));
}

TEST_F(PictureDatasets, MasksOfFormatsThatAreNotReadAreNamed) {
  touch("images/a.jpg");
  touch("images/b.jpg");
  touch("images/b.gif");  // beside a picture that is read
  touch("masks/a.TIF");
  touch("masks/b.png");
  const std::string text = refusal();
  EXPECT_THAT(text, HasSubstr("2 problems"));
  EXPECT_THAT(text, HasSubstr("masks/a.TIF is of a format that is not read"));
  EXPECT_THAT(text, HasSubstr("images/a.jpg has no mask"));
}

TEST(PictureOfMask, LosesTheEndingsOfMasksOnly) {
  EXPECT_EQ(picture_of_mask("ISIC_0000000_segmentation"), "ISIC_0000000");
  EXPECT_EQ(picture_of_mask("IMD002_lesion"), "IMD002");
  EXPECT_EQ(picture_of_mask("a_mask"), "a");
  EXPECT_EQ(picture_of_mask("_mask"), "_mask");
  EXPECT_EQ(picture_of_mask("masked"), "masked");
}

}  // namespace
}  // namespace mambaseg
