// Pictures through the program: train, predict a picture and a folder, evaluate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "mambaseg/config/config.h"
#include "mambaseg/io/picture.h"
#include "tests/cli/program.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* recipe = R"(
task = "pictures"

[network]
name = "unet"
widths = [4, 8]

[plan]
size = [32, 32]
structure = "square"

[data.split]
validation_fraction = 0.25
test_fraction = 0.5

[loss]
name = "dice_bce_boundary"

[training]
epochs = 80
batch = 1
learning_rate = 1e-2
)";

/// A bright square; its ISIC-like mask.
void draw(const std::string& input, const std::string& truth, int number) {
  Picture picture{48, 40, 3, {}}, mask{48, 40, 1, {}};
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 48; ++x) {
      const bool inside = x >= 8 + 4 * number && x < 26 + 4 * number && y >= 10 && y < 30;
      for (const int value : inside ? std::array{230, 60, 60} : std::array{40, 50, 90})
        picture.values.push_back(static_cast<uint8_t>(value));
      mask.values.push_back(inside ? 255 : 0);
    }
  const std::string name = "ISIC_000000" + std::to_string(number);
  write_picture(input + "/" + name + ".jpg", picture);
  write_picture(truth + "/" + name + "_segmentation.png", mask);
}

/// One model that all tests use.
class Pictures : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = new TemporaryFolder;
    fs::create_directories(input());
    fs::create_directories(truth());
    for (int i = 0; i < 4; ++i) draw(input(), truth(), i);
    std::ofstream(*folder / "recipe.toml") << recipe;
    trained = run_mambaseg("train " + (*folder / "recipe.toml") +
                           " --set data.dataset.folder=" + (*folder / "data") + " -o " + (*folder / "run"));
  }
  static void TearDownTestSuite() { delete folder; }
  void SetUp() override { ASSERT_EQ(trained.exit_code, 0) << trained.err; }

  static std::string input() { return *folder / "data/ISIC2018_Task1-2_Training_Input"; }
  static std::string truth() { return *folder / "data/ISIC2018_Task1_Training_GroundTruth"; }
  static ProgramResult predict(const std::string& more) {
    return run_mambaseg("predict -m " + (*folder / "run/best.safetensors") + " " + more);
  }

  static TemporaryFolder* folder;
  static ProgramResult trained;
};
TemporaryFolder* Pictures::folder;
ProgramResult Pictures::trained;

TEST_F(Pictures, TrainingSpeaksOfPictures) {
  EXPECT_THAT(trained.err, HasSubstr("1 training and 1 validation cases"));
  EXPECT_THAT(trained.err, HasSubstr("pictures/s"));
  EXPECT_THAT(trained.err, HasSubstr("validation Dice"));
}

TEST_F(Pictures, TrainingStartsFromTheWeightsOfAnotherModelAsFarAsTheyFit) {
  const auto train_from = [&](const std::string& weights) {
    return run_mambaseg("train " + (*folder / "recipe.toml") + " --set data.dataset.folder=" +
                        (*folder / "data") + " --start " + weights + " -o " + (*folder / "started"));
  };
  const ProgramResult started = train_from(*folder / "run/best.safetensors");
  ASSERT_EQ(started.exit_code, 0) << started.err;
  EXPECT_THAT(started.err, HasSubstr("start: " + (*folder / "run/best.safetensors") + ": "));
  fs::remove_all(*folder / "started");
  const ProgramResult nowhere = train_from(*folder / "nowhere.safetensors");
  EXPECT_EQ(nowhere.exit_code, 1) << nowhere.err;
  EXPECT_THAT(nowhere.err, HasSubstr("nowhere.safetensors"));
  EXPECT_FALSE(fs::exists(*folder / "started"));
}

TEST_F(Pictures, ScribblesOfMasksTrainNetworksThatAreThenTakenApart) {
  const std::string data = *folder / "scribbles", run = *folder / "run_scribbles";
  fs::create_directories(data);
  fs::copy(input(), data + "/images");
  const ProgramResult drawn =
      run_mambaseg("scribbles " + truth() + " -o " + data + "/masks --width 3 --seed 2");
  ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
  EXPECT_THAT(drawn.out, HasSubstr("4 masks"));
  const std::string strokes = data + "/masks/ISIC_0000001_segmentation.png";
  std::set<int> values;
  for (const uint8_t value : read_picture(strokes).values) values.insert(value);
  EXPECT_THAT(values, testing::ElementsAre(0, 128, 255));
  const ProgramResult again = run_mambaseg("scribbles " + truth() + "/ISIC_0000001_segmentation.png -o " +
                                           (*folder / "one_stroke.png") + " --width 3 --seed 2");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(read_picture(*folder / "one_stroke.png").values, read_picture(strokes).values);
  const ProgramResult refused =
      run_mambaseg("scribbles " + truth() + " -o " + (*folder / "not_drawn") + " --unlabelled 255");
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("expected labels other than 255"));

  const ProgramResult trained_together = run_mambaseg(
      "train weak_mamba_unet_kvasir_scribbles --set data.dataset.folder=" + data +
      " --set plan.size=[32,32] --set training.epochs=1 --set training.batch=2 --set "
      "network.swin_unet.width=4"
      " --set network.mamba_unet.widths=[4,8,16,32] --set network.weakmamba_unet.widths=[4,4,4,4,4] -o " +
      run);
  ASSERT_EQ(trained_together.exit_code, 0) << trained_together.err;
  const std::string cnn = *folder / "cnn.safetensors";
  const ProgramResult taken =
      run_mambaseg("convert " + run + "/last.safetensors " + cnn + " --member weakmamba_unet");
  ASSERT_EQ(taken.exit_code, 0) << taken.err;
  EXPECT_THAT(taken.out, HasSubstr("weakmamba_unet, "));
  for (const std::string& model : {cnn, run + "/best.safetensors"}) {
    const ProgramResult predicted = run_mambaseg("predict -m " + model + " -i " + input() +
                                                 "/ISIC_0000000.jpg -o " + (*folder / "by_strokes.png"));
    EXPECT_EQ(predicted.exit_code, 0) << predicted.err;
  }
  const ProgramResult none =
      run_mambaseg("convert " + cnn + " " + (*folder / "none.safetensors") + " --member swin_unet");
  EXPECT_EQ(none.exit_code, 2) << none.err;
  EXPECT_THAT(none.err, HasSubstr("--member: no member is called swin_unet"));
}

TEST_F(Pictures, OnePictureGivesAMaskOfItsSizeAndMoreWhenAsked) {
  const std::string mask = *folder / "one.png";
  const ProgramResult result =
      predict("-i " + input() + "/ISIC_0000000.jpg -o " + mask + " --probability --overlay");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Picture drawn = read_picture(mask);
  EXPECT_EQ(drawn.width, 48);
  EXPECT_EQ(drawn.height, 40);
  EXPECT_EQ(drawn.channels, 1);
  for (const uint8_t value : drawn.values) EXPECT_TRUE(value == 0 || value == 255);
  EXPECT_EQ(read_picture(*folder / "one_probability.png").channels, 1);
  EXPECT_EQ(read_picture(*folder / "one_overlay.png").channels, 3);
}

TEST_F(Pictures, TheTestPicturesOfTheSplitArePredictedAndScored) {
  const std::string out = *folder / "test_masks";
  const ProgramResult result =
      predict("-i " + input() + " -o " + out + " --split " + (*folder / "run/split.json") + " --batch 3");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("2 masks"));
  const ProgramResult scored = run_mambaseg("evaluate -r " + truth() + " -p " + out + " -o " +
                                            (*folder / "report") + " --allow-missing --images " + input());
  ASSERT_EQ(scored.exit_code, 0) << scored.err;
  for (const char* words : {"IoU", "HD95 px", "precision", "mean of pictures", "all pixels pooled"})
    EXPECT_THAT(scored.out, HasSubstr(words));
  const Json summary = read_json(*folder / "report/summary.json");
  EXPECT_EQ(summary["metric_per_case"].size(), 2u);
  EXPECT_GT(summary["pooled"]["1"]["Dice"], 0.8);
  EXPECT_GT(summary["mean"]["1"]["IoU"], 0.6);
  EXPECT_EQ(summary["units"]["HD95"], "px");
}

TEST_F(Pictures, AFolderGoesOnAfterUnreadablePicturesAndListsThem) {
  const std::string in = *folder / "in", out = *folder / "out";
  fs::create_directory(in);
  fs::copy_file(input() + "/ISIC_0000001.jpg", in + "/good.jpg");
  std::ofstream(in + "/bad.png") << "this is no picture";
  std::ofstream(in + "/notes.txt") << "passed over";
  const ProgramResult result = predict("-i " + in + " -o " + out);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(fs::exists(out + "/good.png"));
  EXPECT_THAT(result.err, HasSubstr("bad: " + in + "/bad.png: "));
  EXPECT_THAT(result.err, HasSubstr("1 of 2 cases failed"));
  fs::remove(in + "/bad.png");
  const ProgramResult resumed = predict("-i " + in + " -o " + out + " --resume");
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("1 of 1 masks were there already"));
}

TEST_F(Pictures, PicturesAreNeverReplaced) {
  const std::string in = *folder / "originals";
  fs::create_directory(in);
  fs::copy_file(input() + "/ISIC_0000001.jpg", in + "/a.jpg");
  write_picture(in + "/b.png", read_picture(in + "/a.jpg"));
  const std::string before = read_bytes(in + "/b.png");
  for (const std::string& output : {in, in + "/../originals/", in + "/b.png"}) {
    const ProgramResult result = predict("-i " + (output.ends_with("b.png") ? output : in) + " -o " + output);
    EXPECT_EQ(result.exit_code, 2) << output << ": " << result.err;
    EXPECT_EQ(read_bytes(in + "/b.png"), before) << output;
    EXPECT_FALSE(fs::exists(in + "/a.png")) << output;
  }
}

TEST_F(Pictures, InspectShowsColours) {
  const ProgramResult words = run_mambaseg("inspect " + input() + "/ISIC_0000000.jpg");
  EXPECT_EQ(words.exit_code, 0) << words.err;
  EXPECT_THAT(words.out, HasSubstr("48 x 40 pixels"));
  const ProgramResult json = run_mambaseg("inspect --json " + input() + "/ISIC_0000000.jpg");
  EXPECT_EQ(Json::parse(json.out)[0]["channels"].size(), 3u) << json.out;
}

TEST_F(Pictures, OfOnePictureThatFailedNoSpeedIsTold) {
  std::ofstream(*folder / "broken.png") << "this is no picture";
  const ProgramResult result = predict("-i " + (*folder / "broken.png") + " -o " + (*folder / "mask.png"));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out.find("pictures"), std::string::npos) << result.out;
  size_t told = 0;
  for (size_t at = 0; (at = result.err.find("broken.png", at)) != std::string::npos; ++at) ++told;
  EXPECT_EQ(told, 1u) << result.err;
}

TEST_F(Pictures, RefusesInOneLineWhatCannotWork) {
  const struct {
    std::string arguments, words;
    int exit_code;
  } cases[] = {
      {"-i " + (*folder / "nowhere.png") + " -o x.png", "nowhere.png", 1},
      {"-i " + input() + "/ISIC_0000000.jpg -o x.jpg", "one of the endings .png", 2},
      {"-i " + input() + " -o x.png", "expected a folder", 2},
      {"-i " + truth() + " -o x --split " + (*folder / "run/split.json"), "no picture is called", 1},
      {"-i " + input() + "/ISIC_0000000.jpg -o x.png --quarter-map 1",
       "best.safetensors: quarter map: expected a network with SS2D mixers", 2},
  };
  for (const auto& one : cases) {
    const ProgramResult result = predict(one.arguments);
    EXPECT_EQ(result.exit_code, one.exit_code) << one.arguments << ": " << result.err;
    EXPECT_THAT(result.err, HasSubstr(one.words));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

}  // namespace
}  // namespace mambaseg
