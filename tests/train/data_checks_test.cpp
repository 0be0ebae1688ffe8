// What is said of the data before anything is trained, and what is taken from them.
#include "mambaseg/train/data_checks.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/utils.h>

#include "mambaseg/io/image.h"
#include "mambaseg/train/trainer.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/drawn_boxes.h"
#include "tests/train/task_settings.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DataChecks : public testing::Test {
 protected:
  DataChecks() {
    torch::set_num_threads(1);
    for (const char* sub : {"data", "data/imagesTr", "data/labelsTr"}) fs::create_directory(folder_ / sub);
    describe_dataset("");
    for (int i = 0; i < 3; ++i) draw_case(i);
  }

  void describe_dataset(const std::string& more) const {
    std::ofstream(folder_ / "data/dataset.json")
        << R"({"channel_names": {"0": "T1"}, "labels": {"background": 0, "one": 1, "two": 2})" << more << "}";
  }
  std::string image(int number) const { return folder_ / concat("data/imagesTr/c", number, "_0000.nii.gz"); }
  std::string labels(int number) const { return folder_ / concat("data/labelsTr/c", number, ".nii.gz"); }

  void draw_case(int number) const {
    draw_boxes(image(number), labels(number), {18, 17, 16}, 20,
               {{{3 + number, 3, 3}, {3, 6, 6}, 90, 1}, {{6 + number, 3, 3}, {3, 6, 6}, 90, 2}});
  }
  /// Applies `change` to the label numbers of every case.
  void change_labels(const std::function<int32_t(int32_t)>& change) const {
    for (int n = 0; n < 3; ++n) {
      Volume<int32_t> numbers = read_labels(labels(n));
      for (int32_t& value : numbers.voxels) value = change(value);
      write_labels(labels(n), numbers);
    }
  }

  TrainOptions options() {
    TrainOptions options;
    RunSettings& settings = options.settings;
    settings.network = {{"name", "plain_unet"}, {"features", {4, 4}}};
    volumes_of(settings).plan.conform = "none";
    volumes_of(settings).plan.orientation = "RAS";
    volumes_of(settings).plan.patch = {16, 16, 16};
    volumes_of(settings).plan.intensity = "zscore_all";
    volumes_of(settings).plan.classes = {{"one", {1}}, {"two", {2}}};
    settings.data.dataset.folder = folder_ / "data";
    settings.data.split.validation = {"c2"};
    volumes_of(settings).sampling.kind = "random";
    volumes_of(settings).sampling.patches_per_case = 1;
    settings.training.epochs = 1;
    options.folder = folder_ / concat("run", ++runs_);
    options.warn = [this](const std::string& line) { warnings_.push_back(line); };
    return options;
  }
  std::string refusal() {
    try {
      train(options());
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder_;
  std::vector<std::string> warnings_;
  int runs_ = 0;
};

TEST_F(DataChecks, GoodDataTrainWithoutAWord) {
  EXPECT_EQ(refusal(), "");
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(DataChecks, NothingToLearnIsRefused) {
  change_labels([](int32_t) { return 0; });
  EXPECT_THAT(refusal(), AllOf(HasSubstr("nothing to learn: no training case holds one, two"),
                               HasSubstr("; the labels are empty")));
}

TEST_F(DataChecks, OtherNumbersAreNamed) {
  change_labels([](int32_t value) { return value * 100; });
  EXPECT_THAT(refusal(), HasSubstr("the files hold the numbers 100, 200, which no class of [plan] names"));
}

TEST_F(DataChecks, AClassThatNeverOccursAndNumbersInNoClassAreTold) {
  change_labels([](int32_t value) { return value == 2 ? 7 : value; });
  EXPECT_EQ(refusal(), "");
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("no training case holds two; the network cannot learn it"),
                                     HasSubstr("count as background (plan.unknown_labels): 7")));
}

TEST_F(DataChecks, LabelsOnAnotherGridAreRefused) {
  Volume<int32_t> numbers = read_labels(labels(0));
  numbers.geometry.voxel_to_ras_mm.offset[1] += 0.05;  // as headers differ
  write_labels(labels(0), numbers);
  EXPECT_EQ(refusal(), "");
  numbers.geometry.voxel_to_ras_mm.offset[1] += 1;
  write_labels(labels(0), numbers);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("c0.nii.gz"), HasSubstr("are not on the grid of the image")));
  draw_case(0);
  numbers = read_labels(labels(1));
  numbers.geometry.size[2] -= 1;
  numbers.voxels.resize(static_cast<size_t>(numbers.geometry.voxel_count()));
  write_labels(labels(1), numbers);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("c1.nii.gz"), HasSubstr("18x17x15")));
}

TEST_F(DataChecks, ConstantImagesAreRefusedAndTwinsTold) {
  fs::copy_file(image(0), image(2), fs::copy_options::overwrite_existing);
  EXPECT_EQ(refusal(), "");
  EXPECT_THAT(warnings_, ElementsAre("cases c0 (training) and c2 (validation) hold the same image"));
  Volume<float> even = read_volume(image(1));
  even.voxels.assign(even.voxels.size(), 7);
  write_volume(image(1), even);
  EXPECT_THAT(refusal(), HasSubstr("every voxel has the value 7"));
}

TEST_F(DataChecks, ValidationWithoutAnyStructureIsTold) {
  Volume<int32_t> numbers = read_labels(labels(2));
  numbers.voxels.assign(numbers.voxels.size(), 0);
  write_labels(labels(2), numbers);
  EXPECT_EQ(refusal(), "");
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("no validation case holds any structure")));
}

TEST_F(DataChecks, ChannelsComeFromTheData) {
  EXPECT_EQ(resolved(options().settings).network["in_channels"], 1);
  for (int n = 0; n < 3; ++n) fs::copy_file(image(n), folder_ / concat("data/imagesTr/c", n, "_0001.nii.gz"));
  std::ofstream(folder_ / "data/dataset.json") << R"({"channel_names": {"0": "T1", "1": "T2"}})";
  EXPECT_EQ(resolved(options().settings).network["in_channels"], 2);
  EXPECT_EQ(refusal(), "");
  TrainOptions one = options();
  one.settings.network["in_channels"] = 1;
  try {
    train(one);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("case c0 has 2 channels, but network.in_channels is 1"));
  }
}

/// Writes volumes of one grid as one 4-D file.
void write_four_dimensional(const std::string& path, const Volume<float>& first,
                            const Volume<float>& second) {
  Volume<float> both = first;
  both.geometry.size[2] *= 2;
  both.voxels.insert(both.voxels.end(), second.voxels.begin(), second.voxels.end());
  write_volume(path, both);
  std::string bytes = read_bytes(path);
  const auto number = [&](size_t at, int64_t value) {  // little-endian 16 bits of the NIfTI-1 header
    bytes[at] = static_cast<char>(value & 0xff);
    bytes[at + 1] = static_cast<char>(value >> 8);
  };
  number(40, 4);
  number(46, first.geometry.size[2]);
  number(48, 2);
  write_bytes(path, bytes);
}

TEST_F(DataChecks, ChannelsOfADecathlonFile) {
  std::ofstream(folder_ / "data/dataset.json") << R"({"modality": {"0": "T2", "1": "ADC"}})";
  for (int n = 0; n < 3; ++n) {
    const Volume<float> first = read_volume(image(n));
    Volume<float> second = first;
    for (float& value : second.voxels) value = 100 - value;
    fs::remove(image(n));
    write_four_dimensional(folder_ / concat("data/imagesTr/c", n, ".nii"), first, second);
  }
  EXPECT_EQ(resolved(options().settings).network["in_channels"], 2);
  EXPECT_EQ(refusal(), "");
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(DataChecks, SplitsFinalOfNnUNetIsKept) {
  std::ofstream(folder_ / "data/splits_final.json")
      << R"([{"train": ["c0", "c1"], "val": ["c2"]}, {"train": ["c2"], "val": ["c0"]}])";
  TrainOptions fold = options();
  fold.settings.data.split = {};
  fold.settings.data.split.fold = 1;
  train(fold);
  const Json split = read_json(fold.folder + "/split.json");
  EXPECT_EQ(split["train"], Json({"c2"}));
  EXPECT_EQ(split["validation"], Json({"c0"}));
}

}  // namespace
}  // namespace mambaseg
