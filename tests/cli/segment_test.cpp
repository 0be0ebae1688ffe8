// `mambaseg segment` and `mambaseg models` as a user calls them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "mambaseg/core/volume.h"
#include "mambaseg/io/image.h"
#include "tests/cli/program.h"
#include "tests/io/temporary_folder.h"
#include "tests/metrics/blobs.h"
#include "tests/models/drawn_model.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class SegmentCommand : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(model_);
    write_ball_model(model_);
    Volume<float> image(grid({16, 16, 16}));
    for (size_t v = 1; v < image.voxels.size(); ++v) image.voxels[v] = static_cast<float>(1 + v % 5);
    write_volume(folder_ / "one.nii.gz", image);
  }
  TemporaryFolder folder_;
  const std::string model_ = folder_ / "balls";
};

TEST_F(SegmentCommand, SegmentsKeepsAndOverwrites) {
  const std::string words =
      "segment -m " + model_ + " " + (folder_ / "one.nii.gz") + " -o " + (folder_ / "out");
  const ProgramResult first = run_mambaseg(words);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("model balls 1.0"));
  EXPECT_THAT(first.out, HasSubstr("volumes.tsv"));
  for (const int32_t label : read_labels(folder_ / "out/one.nii.gz").voxels) ASSERT_EQ(label, 10);
  const ProgramResult second = run_mambaseg(words);
  EXPECT_EQ(second.exit_code, 0);
  EXPECT_THAT(second.out, HasSubstr("1 of 1 images have labels already, which are kept; --overwrite"));
  EXPECT_THAT(run_mambaseg(words + " --overwrite --quick").out, HasSubstr("one: "));
}

TEST_F(SegmentCommand, ExitsWithOneForImagesAndTwoForWords) {
  write_bytes(folder_ / "bad.nii", "no image");
  const ProgramResult bad =
      run_mambaseg("segment " + (folder_ / "bad.nii") + " -m " + model_ + " -o " + (folder_ / "out"));
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("bad.nii"));
  EXPECT_EQ(run_mambaseg("segment").exit_code, 2);
  const ProgramResult unknown =
      run_mambaseg("segment " + (folder_ / "one.nii.gz") + " -m ballz -o " + (folder_ / "out"));
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("there is no model ballz"));
  EXPECT_FALSE(fs::exists(folder_ / "out/one.nii.gz"));
}

// As schedulers call BIDS Apps.
TEST_F(SegmentCommand, ABidsAppSegmentsParticipantsAndTabulatesThem) {
  const std::string data = folder_ / "data", out = folder_ / "derived";
  for (const char* label : {"01", "02"}) {
    const std::string at = data + "/sub-" + label + "/anat";
    fs::create_directories(at);
    fs::copy(folder_ / "one.nii.gz", at + "/sub-" + label + "_T1w.nii.gz");
  }
  write_bytes(data + "/dataset_description.json", R"({"Name": "drawn", "BIDSVersion": "1.8.0"})");
  const std::string words = "bids " + data + " " + out, more = " -m " + model_ + " -w " + (folder_ / "work");
  const ProgramResult one = run_mambaseg(words + " participant --participant-label 02" + more);
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_FALSE(fs::exists(out + "/sub-01"));
  for (const int32_t label : read_labels(out + "/sub-02/anat/sub-02_desc-balls_dseg.nii.gz").voxels)
    ASSERT_EQ(label, 10);
  const ProgramResult group = run_mambaseg(words + " group" + more);
  EXPECT_EQ(group.exit_code, 0) << group.err;
  EXPECT_THAT(group.out, HasSubstr("1 of 2 images have labels"));
  write_bytes(data + "/sub-01/anat/sub-01_T1w.nii.gz", "no image");
  EXPECT_EQ(run_mambaseg(words + " participant --skip-bids-validation" + more).exit_code, 1);
  EXPECT_EQ(run_mambaseg(words + " session" + more).exit_code, 2);
  EXPECT_FALSE(fs::exists(folder_ / "work"));
}

TEST_F(SegmentCommand, WeightsAreMadeSmallerAndTheirCardIsShown) {
  const std::string small = folder_ / "small.safetensors";
  ASSERT_EQ(run_mambaseg("convert " + model_ + "/a.safetensors " + small + " --weights bf16").exit_code, 0);
  EXPECT_LT(fs::file_size(small), fs::file_size(model_ + "/a.safetensors"));
  EXPECT_EQ(read_model_info(small).plan, read_model_info(model_ + "/a.safetensors").plan);
  const ProgramResult card = run_mambaseg("models " + model_);
  EXPECT_EQ(card.exit_code, 0) << card.err;
  EXPECT_THAT(card.out, HasSubstr("ball (10)"));
  fs::copy_file(small, model_ + "/a.safetensors", fs::copy_options::overwrite_existing);
  const ProgramResult other = run_mambaseg("models " + model_);
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("are not the weights"));
}

// When this fails: make docs.
TEST(Documentation, ModelsHaveTheirPages) {
  const fs::path root = MAMBASEG_SOURCE_DIR;
  EXPECT_EQ(run_mambaseg("models").exit_code, 0);
  std::vector<std::string> models, pages;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root / "models", none))
    if (fs::exists(entry.path() / "model.toml")) models.push_back(entry.path().filename().string());
  for (const auto& entry : fs::directory_iterator(root / "docs/models", none))
    pages.push_back(entry.path().stem().string());
  EXPECT_THAT(pages, testing::UnorderedElementsAreArray(models));
  for (const std::string& name : models)
    EXPECT_EQ(read_bytes(root / "docs/models" / (name + ".md")),
              run_mambaseg("models " + (root / "models" / name).string() + " --markdown").out)
        << name;
}

}  // namespace
}  // namespace mambaseg
