// From a recipe and a folder of images to a trained model, labels, and what goes wrong on the way.
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "mambaseg/config/config.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/folder_lock.h"
#include "mambaseg/io/image.h"
#include "mambaseg/ops/dense.h"
#include "tests/cli/program.h"
#include "tests/io/temporary_folder.h"
#include "tests/metrics/blobs.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* recipe = R"(
[network]
name = "medsegmamba"
widths = [8, 8, 8, 8]
token_width = 8
layers = 1
states = 2

[plan]
conform = "none"
orientation = "RAS"
patch = [16, 16, 16]
step = 8
classes = [{ name = "ball", ids = [10] }]

[data.dataset]
layout = "folders"

[data.split]
validation_fraction = 0.0

[sampling]
kind = "random"
patches_per_case = 2

[training]
epochs = 1
)";

/// A bright ball off the centre of a grey block, 2 mm slices.
void draw_case(const std::string& image_path, const std::string& label_path,
               const Vector3& centre = {9, 8, 14}) {
  const Geometry geometry = grid({22, 18, 17}, {1, 1, 2});
  Volume<int32_t> labels(geometry);
  draw_ball(labels, centre, 5, 10);
  Volume<float> image(geometry, 40);
  for (size_t v = 0; v < image.voxels.size(); ++v)
    if (labels.voxels[v]) image.voxels[v] = 90;
  write_volume(image_path, image);
  write_labels(label_path, labels);
}

/// One model, trained for a moment, that all tests use.
class Predict : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = new TemporaryFolder;
    for (const char* sub : {"data", "data/images", "data/labels"}) fs::create_directory(*folder / sub);
    draw_case(image(), (*folder / "data/labels/one.nii.gz"));
    std::ofstream(*folder / "recipe.toml") << recipe;
    trained = run_mambaseg("train " + (*folder / "recipe.toml") +
                           " --set data.dataset.folder=" + (*folder / "data") + " -o " + (*folder / "run"));
  }
  static void TearDownTestSuite() { delete folder; }
  void SetUp() override { ASSERT_EQ(trained.exit_code, 0) << trained.err; }

  static std::string image() { return *folder / "data/images/one.nii.gz"; }
  static ProgramResult predict(const std::string& more) {
    return run_mambaseg("predict -m " + (*folder / "run/best.safetensors") + " " + more);
  }

  static TemporaryFolder* folder;
  static ProgramResult trained;
};
TemporaryFolder* Predict::folder;
ProgramResult Predict::trained;

TEST_F(Predict, WritesLabelsOnTheGridOfTheInputAndSaysWhatItTakes) {
  const std::string output = *folder / "labels.nii.gz";
  const ProgramResult result = predict("-i " + image() + " -o " + output);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("of 16x16x16 at step 8; at most"));
  const Geometry in = read_geometry(image()), out = read_geometry(output);
  EXPECT_EQ(out.size, in.size);
  EXPECT_EQ(out.voxel_to_ras_mm.matrix, in.voxel_to_ras_mm.matrix);
  for (const int32_t label : read_labels(output).voxels) EXPECT_TRUE(label == 0 || label == 10) << label;
}

TEST_F(Predict, ARunByARecipeThatExtendsAnotherKeepsItWhole) {
  write_bytes(*folder / "extending.toml", "extends = \"recipe.toml\"\ntraining.seed = 5\n");
  const ProgramResult result = run_mambaseg("train " + (*folder / "extending.toml") +
                                            " --set data.dataset.folder=" + (*folder / "data") +
                                            " --set training.seed=0 -o " + (*folder / "run_extending"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read_bytes(*folder / "run_extending/recipe.toml"), read_bytes(*folder / "run/recipe.toml"));
}

TEST_F(Predict, TrainingGoesOnByTheRecipeOfItsRun) {
  const std::string run = *folder / "resumed";
  fs::copy(*folder / "run", run, fs::copy_options::recursive);
  const ProgramResult resumed = run_mambaseg("train --resume -o " + run + " --set training.epochs=2");
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("epoch 2/2"));
  const ProgramResult nothing = run_mambaseg("train -o " + run);
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_THAT(nothing.err, HasSubstr("expected a recipe"));
  const ProgramResult nowhere = run_mambaseg("train --resume -o " + (*folder / "nowhere"));
  EXPECT_EQ(nowhere.exit_code, 2);
  EXPECT_THAT(nowhere.err, HasSubstr("no run to resume"));
}

TEST_F(Predict, TrainingGoesOnWhereTheProcessorHasNoBf16AndBack) {
  if (!has_bf16_arithmetic()) GTEST_SKIP() << "no bf16 here that could be taken away";
  const std::string run = *folder / "moved", resume = "train --resume -o " + run + " --set training.epochs=";
  const ProgramResult begun =
      run_mambaseg("train " + (*folder / "recipe.toml") + " --set data.dataset.folder=" + (*folder / "data") +
                   " --set training.precision=bf16 -o " + run);
  ASSERT_EQ(begun.exit_code, 0) << begun.err;
  EXPECT_THAT(begun.err, Not(HasSubstr("fp32")));
  const ProgramResult there = run_mambaseg_with_avx2(resume + "2");
  EXPECT_EQ(there.exit_code, 0) << there.err;
  EXPECT_THAT(there.err, HasSubstr("this device does not compute in bf16: training in fp32"));
  EXPECT_THAT(there.err, HasSubstr("the bits are no longer those of an uninterrupted run"));
  const ProgramResult back = run_mambaseg(resume + "3");
  EXPECT_EQ(back.exit_code, 0) << back.err;
  EXPECT_THAT(back.err, HasSubstr("the bits are no longer those of an uninterrupted run"));
  std::vector<std::string> events, precisions;
  std::ifstream journal(run + "/journal.jsonl");
  for (std::string text; std::getline(journal, text);) {
    const Json line = Json::parse(text);
    events.push_back(line["event"]);
    if (line.contains("machine")) precisions.push_back(line["machine"]["precision"]);
  }
  EXPECT_THAT(precisions, ElementsAre("bf16", "fp32", "bf16"));
  std::erase(events, "step");
  EXPECT_THAT(events, ElementsAre("start", "epoch", "machine", "epoch", "machine", "epoch"));
}

TEST_F(Predict, SaysWhichPrecisionItChose) {
  const std::string output = *folder / "precision.nii.gz";
  const ProgramResult automatic = predict("-i " + image() + " -o " + output + " --precision auto");
  ASSERT_EQ(automatic.exit_code, 0) << automatic.err;
  EXPECT_THAT(automatic.out, testing::ContainsRegex("precision (fp32|bf16): "));
  EXPECT_EQ(predict("-i " + image() + " -o " + output + " --precision bf16").exit_code, 0);
  for (const char* precision : {"fp16", "tf32"}) {
    const auto refused = predict("-i " + image() + " -o " + output + " --precision " + precision);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_EQ(refused.err, concat("mambaseg: error: precision ", precision,
                                  " is there with --device cuda only; here are fp32 and bf16\n"));
  }
}

TEST_F(Predict, RefusesADeviceThatIsNotThereAndSaysWhatIs) {
  for (const char* device : {"cuda:99", "tpu"}) {
    const auto refused =
        predict("-i " + image() + " -o " + (*folder / "none.nii.gz") + " --device " + device);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, HasSubstr(concat("--device ", device, ": ")));
    EXPECT_THAT(refused.err, HasSubstr("there is "));
  }
}

TEST_F(Predict, OfAFolderGoesOnAfterABadCaseAndNamesIt) {
  const std::string in = *folder / "in", out = *folder / "out";
  fs::create_directory(in);
  fs::copy_file(image(), in + "/good.nii.gz");
  std::ofstream(in + "/bad.nii.gz") << "this is no image";
  const ProgramResult result = predict("-i " + in + " -o " + out);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(fs::exists(out + "/good.nii.gz"));
  EXPECT_FALSE(fs::exists(out + "/bad.nii.gz"));
  EXPECT_THAT(result.err, HasSubstr("bad.nii.gz"));
  EXPECT_THAT(result.err, HasSubstr("1 of 2 cases failed"));

  const auto written = fs::last_write_time(out + "/good.nii.gz");
  fs::copy_file(image(), in + "/bad.nii.gz", fs::copy_options::overwrite_existing);
  const ProgramResult resumed = predict("-i " + in + " -o " + out + " --resume");
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("1 of 2 cases were there already"));
  EXPECT_EQ(fs::last_write_time(out + "/good.nii.gz"), written);
}

TEST_F(Predict, ACaseOfAFolderIsWhatItIsAlone) {
  const std::string in = *folder / "several", together = *folder / "together", alone = *folder / "alone";
  fs::create_directory(in);
  fs::create_directory(alone);
  for (const int64_t i : {6, 9, 12})
    draw_case(concat(in, "/c", i, ".nii.gz"), *folder / "several_labels.nii.gz", {double(i), 8, 14});
  std::ofstream(in + "/c8.nii.gz") << "this is no image";
  const ProgramResult all = predict("--probability -i " + in + " -o " + together);
  EXPECT_THAT(all.err, HasSubstr("1 of 4 cases failed"));
  std::vector<std::string> contents;
  for (const int64_t i : {6, 9, 12}) {
    const std::string one = concat("c", i, ".nii.gz");
    ASSERT_EQ(predict("--probability -i " + in + "/" + one + " -o " + alone + "/" + one).exit_code, 0);
    for (const std::string& name : {one, concat("c", i, "_class1.nii.gz")}) {
      contents.push_back(whole_file(together + "/" + name));
      EXPECT_EQ(contents.back(), whole_file(alone + "/" + name)) << name;
    }
    EXPECT_THAT(all.out, HasSubstr(concat("c", i, ": ", together, "/", one, ", ")));
  }
  EXPECT_NE(contents[1], contents[3]) << "cases that look alike would show nothing";
}

TEST_F(Predict, ImagesAreNeverReplaced) {
  const std::string in = *folder / "originals";
  fs::create_directory(in);
  fs::copy_file(image(), in + "/a.nii.gz");
  fs::create_symlink("a.nii.gz", in + "/link.nii.gz");
  fs::create_hard_link(in + "/a.nii.gz", *folder / "second.nii.gz");
  fs::create_directory_symlink("originals", *folder / "same");
  const std::string before = read_bytes(in + "/a.nii.gz");
  const struct {
    std::string input, output;
  } cases[] = {{in, in},
               {in, *folder / "same"},
               {in, in + "/../originals/"},
               {in + "/a.nii.gz", in},
               {in + "/a.nii.gz", in + "/a.nii.gz"},
               {in + "/a.nii.gz", in + "/link.nii.gz"},
               {in + "/a.nii.gz", *folder / "second.nii.gz"}};
  for (const auto& one : cases) {
    const ProgramResult result = predict("-i " + one.input + " -o " + one.output);
    EXPECT_EQ(result.exit_code, 2) << one.output << ": " << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(read_bytes(in + "/a.nii.gz"), before) << one.output;
    EXPECT_EQ(std::distance(fs::directory_iterator(in), fs::directory_iterator()), 2) << one.output;
  }
}

TEST_F(Predict, ResultsNeverReplaceEachOther) {
  const std::string in = *folder / "two";
  fs::create_directory(in);
  fs::copy_file(image(), in + "/x.nii.gz");
  fs::copy_file(image(), in + "/x_class1.nii.gz");
  const ProgramResult result = predict("-i " + in + " -o " + (*folder / "out_two") + " --probability");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("would be one file"));
  EXPECT_FALSE(fs::exists(*folder / "out_two"));
}

TEST_F(Predict, TheNameOfAnOutputIsAFormatOrAFolder) {
  for (const char* name : {"o.txt", "o.png", "o.dcm"}) {
    const ProgramResult result = predict("-i " + image() + " -o " + (*folder / name));
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(".nii.gz"));
    EXPECT_FALSE(fs::exists(*folder / name));
  }
  EXPECT_EQ(predict("-i " + image() + " -o " + (*folder / "o.txt/")).exit_code, 0);
  EXPECT_TRUE(fs::is_regular_file(*folder / "o.txt/one.nii.gz"));
}

TEST_F(Predict, AFullDiskLeavesNothing) {
  const std::string out = *folder / "limited";
  for (const char* more : {"", " --probability"}) {
    const ProgramResult result = run_mambaseg_with_full_disk(
        "predict -m " + (*folder / "run/best.safetensors") + " -i " + image() + " -o " + out + more);
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_THAT(result.err, HasSubstr("File too large"));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_TRUE(fs::is_empty(out));
  }
}

TEST_F(Predict, ARunIsUsedByOneProcess) {
  const std::string run = *folder / "resumed_twice";
  fs::copy(*folder / "run", run, fs::copy_options::recursive);
  {
    const FolderLock lock(run);
    const ProgramResult result = run_mambaseg("train --resume -o " + run + " --set training.epochs=2");
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.err, HasSubstr("process " + std::to_string(getpid())));
    EXPECT_EQ(predict("-i " + image() + " -o " + (*folder / "beside.nii.gz")).exit_code, 0);  // only reads
  }
  EXPECT_EQ(run_mambaseg("train --resume -o " + run + " --set training.epochs=2").exit_code, 0);
}

TEST_F(Predict, SettingsMayStandBeforeTheRecipe) {
  const ProgramResult result = run_mambaseg("train --set data.dataset.folder=" + (*folder / "data") + " " +
                                            (*folder / "recipe.toml") + " -o " + (*folder / "run_set_first"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const ProgramResult prepared =
      run_mambaseg("prepare --set data.dataset.folder=" + (*folder / "data") + " " +
                   (*folder / "recipe.toml") + " -o " + (*folder / "cache_set_first"));
  EXPECT_EQ(prepared.exit_code, 0) << prepared.err;
}

TEST_F(Predict, APreparedCaseIsNoNeighbourOfItsImage) {
  const ProgramResult result =
      run_mambaseg("prepare " + (*folder / "recipe.toml") +
                   " --set data.dataset.folder=" + (*folder / "data") + " -o " + (*folder / "data/images"));
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_FALSE(fs::exists(*folder / "data/images/one.safetensors"));
}

TEST_F(Predict, ConvertDoesNotReplaceItsInput) {
  const std::string model = *folder / "weights.safetensors";
  fs::copy_file(*folder / "run/best.safetensors", model);
  const std::string before = read_bytes(model);
  const ProgramResult result =
      run_mambaseg("convert --recipe " + (*folder / "recipe.toml") + " " + model + " " + model);
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_EQ(read_bytes(model), before);
}

TEST_F(Predict, AnUnknownKeyIsNamedWithTheNearest) {
  const std::string train = "train " + (*folder / "recipe.toml") + " -o " + (*folder / "no_run") + " --set ";
  EXPECT_THAT(run_mambaseg(train + "data.folder=x").err, HasSubstr("did you mean `data.dataset.folder`?"));
  EXPECT_THAT(run_mambaseg(train + "training.epoch=3").err, HasSubstr("did you mean `training.epochs`?"));
  EXPECT_EQ(run_mambaseg(train + "training.epoch=3").exit_code, 2);
  EXPECT_FALSE(fs::exists(*folder / "no_run"));
}

TEST_F(Predict, RefusesInOneLineWhatCannotWork) {
  const struct {
    std::string arguments, words;
    int exit_code;
  } cases[] = {
      {"-i " + (*folder / "nowhere.nii.gz") + " -o x.nii.gz", "nowhere.nii.gz", 1},
      {"-i " + image() + " -o /proc/x.nii.gz", "/proc/x.nii.gz", 1},
      {"-i " + image() + " -o x.nii.gz --step 17", "17", 2},
      {"-i " + (*folder / "data/images") + " -o x.nii.gz", "expected a folder", 2},
  };
  for (const auto& one : cases) {
    const ProgramResult result = predict(one.arguments);
    EXPECT_EQ(result.exit_code, one.exit_code) << one.arguments << ": " << result.err;
    EXPECT_THAT(result.err, StartsWith("mambaseg: error: "));
    EXPECT_THAT(result.err, HasSubstr(one.words));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST_F(Predict, RefusesAModelFileThatIsNone) {
  std::ofstream(*folder / "model.safetensors") << "no weights";
  const ProgramResult result = run_mambaseg("predict -m " + (*folder / "model.safetensors") + " -i " +
                                            image() + " -o " + (*folder / "x.nii.gz"));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("model.safetensors"));
}

TEST_F(Predict, GivesTheSameLabelsWithConvertedWeights) {
  const std::string model = *folder / "converted.safetensors";
  const ProgramResult converted = run_mambaseg("convert " + (*folder / "run/best.safetensors") + " " + model +
                                               " --recipe " + (*folder / "recipe.toml"));
  ASSERT_EQ(converted.exit_code, 0) << converted.err;
  const std::string expected = *folder / "expected.nii.gz", labels = *folder / "converted.nii.gz";
  ASSERT_EQ(predict("-i " + image() + " -o " + expected).exit_code, 0);
  const ProgramResult result = run_mambaseg("predict -m " + model + " -i " + image() + " -o " + labels);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read_labels(labels).voxels, read_labels(expected).voxels);

  const ProgramResult unfit =
      run_mambaseg("convert " + (*folder / "run/best.safetensors") + " " + model + " --network medsegmamba");
  EXPECT_EQ(unfit.exit_code, 1);
  EXPECT_THAT(unfit.err, HasSubstr("of another size"));
}

TEST_F(Predict, ScoresWithEvaluate) {
  const std::string output = *folder / "labels/one.nii.gz";
  ASSERT_EQ(predict("-i " + image() + " -o " + output).exit_code, 0);
  const ProgramResult result = run_mambaseg("evaluate -r " + (*folder / "data/labels") + " -p " +
                                            (*folder / "labels") + " -o " + (*folder / "report"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(fs::exists(*folder / "report/report.html"));
}

}  // namespace
}  // namespace mambaseg
