// The lesion pipeline on a tiny drawn BIDS tree: two channels, spacing of its own, SGD, nnU-Net's
// augmentation, cross-validation, and a table of variants.

#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/utils.h>

#include "mambaseg/io/image.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/ops/dense.h"
#include "mambaseg/tasks/volumes/planned_recipe.h"
#include "mambaseg/train/curves.h"
#include "mambaseg/train/study.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/task_settings.h"
#include "tests/train/training_states.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class LesionTraining : public testing::Test {
 protected:
  LesionTraining() {
    torch::set_num_threads(1);
    for (int i = 0; i < 4; ++i) draw_case(i);
  }

  /// A block of brain in two channels, and in it a lesion that is bright in the first and dark in the second.
  void draw_case(int number) const {
    Geometry geometry;
    geometry.size = {18, 20, 12};
    geometry.voxel_to_ras_mm.matrix = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1.5}}};
    Volume<float> dwi(geometry), adc(geometry);
    Volume<int32_t> lesion(geometry);
    for (int64_t k = 1; k < 11; ++k)
      for (int64_t j = 2; j < 18; ++j)
        for (int64_t i = 2; i < 16; ++i) {
          const bool inside = i >= 4 + number && i < 9 + number && j >= 6 && j < 12 && k >= 3 && k < 8;
          const auto texture = static_cast<float>((i * 7 + j * 3 + k) % 5);
          dwi.at(i, j, k) = (inside ? 160.0F : 80.0F) + texture;
          adc.at(i, j, k) = (inside ? 40.0F : 90.0F) + texture;
          lesion.at(i, j, k) = inside;
        }
    const std::string stem = concat("sub-", number, "_ses-1_");
    const auto write_to = [&](const std::string& folder) {
      const fs::path path = fs::path(folder_.string()) / "tree" / folder;
      fs::create_directories(path);
      return (path / stem).string();
    };
    write_volume(write_to(concat("rawdata/sub-", number, "/dwi")) + "dwi.nii.gz", dwi);
    write_volume(write_to(concat("rawdata/sub-", number, "/dwi")) + "adc.nii.gz", adc);
    write_labels(write_to(concat("derivatives/sub-", number)) + "msk.nii.gz", lesion);
  }

  Json recipe() const {
    return parse_toml(R"(
      [network]
      name = "plain_unet"
      in_channels = 2
      features = [4, 8]
      [plan]
      conform = "spacing"
      spacing = [1.2, 1.2, 1.5]
      orientation = "RAS"
      intensity = "zscore"
      crop_margin = 1
      patch = [12, 12, 8]
      window = "gaussian"
      mirror = [0]
      classes = [{ name = "lesion", ids = [1] }]
      [data.dataset]
      layout = "bids"
      channels = ["dwi", "adc"]
      mask = "msk"
      [data.split]
      folds = 4
      [sampling]
      kind = "random"
      patches_per_case = 4
      foreground = 0.6
      [augment]
      flip = [0.5, 0.5, 0.5]
      rotation = 0.2
      scaling = 0.2
      [augment.nnunet]
      noise = 0.1
      blur = 0.2
      brightness = 0.15
      contrast = 0.15
      low_resolution = 0.25
      inverted_gamma = 0.1
      gamma = 0.3
      [loss]
      name = "dice_cross_entropy"
      dice = { background = false, present_only = false }
      [training]
      optimizer = "sgd"
      momentum = 0.9
      learning_rate = 0.03
      weight_decay = 3e-5
      batch = 2
      patches_per_step = 2
      clip_norm = 12
      deep_supervision = []
      validation_average = 0.5
      seed = 3
      [schedule]
      kind = "constant"
    )",
                      "test");
  }

  TrainOptions options(const std::string& run, int64_t epochs,
                       const std::vector<std::string>& set = {}) const {
    Json json = recipe();
    for (const std::string& assignment : set) set_by_path(json, assignment);
    TrainOptions options;
    options.settings = from_json<RunSettings>(json);
    options.settings.data.dataset.folder = folder_ / "tree";
    options.settings.data.cache = folder_ / "cache";
    options.settings.training.epochs = epochs;
    options.folder = folder_ / run;
    return options;
  }

  TemporaryFolder folder_;
};

TEST_F(LesionTraining, LearnsTheLesionAndDrawsCurves) {
  const TrainResult result = train(options("run", 12));
  const auto lines = read_epoch_lines(folder_ / "run/journal.jsonl");
  ASSERT_EQ(lines.size(), 12U);
  EXPECT_GT(lines.back()["validation"]["dice"].get<double>(), 0.6);
  double average = lines[0]["validation"]["dice"];
  for (const Json& line : lines) {
    average = 0.5 * average + 0.5 * line["validation"]["dice"].get<double>();
    EXPECT_NEAR(line["validation"]["average_dice"].get<double>(), average, 1e-12);
  }
  EXPECT_LE(result.best_dice, 1);
  EXPECT_THAT(read_bytes(folder_ / "run/curves.svg"), HasSubstr("moving average"));
}

TEST_F(LesionTraining, ResumesBitForBitWithMomentum) {
  train(options("whole", 4));
  train(options("parts", 2));
  TrainOptions rest = options("parts", 4);
  rest.resume = true;
  train(rest);
  expect_same_training_state(folder_ / "whole", folder_ / "parts");
}

TEST_F(LesionTraining, TrainsInHalfThePrecision) {
  train(options("half", 4, {"training.precision=bf16"}));
  train(options("full", 4));
  const auto loss = [&](const char* run) {
    return read_epoch_lines(folder_ / (std::string(run) + "/journal.jsonl")).back()["loss"].get<double>();
  };
  EXPECT_EQ(loss("half") != loss("full"), has_bf16_arithmetic()) << "elsewhere it trains in fp32";
  EXPECT_NEAR(loss("half"), loss("full"), 0.1);
}

TEST_F(LesionTraining, EachFoldValidatesOtherCases) {
  std::set<std::string> validated;
  for (int fold = 0; fold < 4; ++fold) {
    const auto name = concat("fold", fold);
    train(options(name, 1, {concat("data.split.fold=", fold)}));
    const Json split = read_json(folder_ / (name + "/split.json"));
    for (const auto& id : split["validation"]) validated.insert(id);
  }
  EXPECT_EQ(validated.size(), 4U);
}

TEST_F(LesionTraining, AStudyIsMadeAndContinuedAndSurvivesARowThatFails) {
  StudyOptions study;
  Json settings = recipe();
  settings["data"]["dataset"]["folder"] = folder_ / "tree";
  settings["data"]["split"] = {{"validation_fraction", 0.25}, {"test_fraction", 0.25}};
  settings["training"]["epochs"] = 3;
  study.recipe = {"lesions", {{"lesions", settings}}};
  study.settings.repeats = 2;
  study.settings.seeds = {1, 2};
  study.settings.budget.epochs = 2;
  study.settings.metrics = {"Dice", "HD95"};
  Json wide = settings["network"];
  wide["features"] = {6, 12};
  study.settings.variants = {
      {"small", {}, {}}, {"broken", {}, {"training.learning_rate=1e30"}}, {"wide", wide, {}}};
  study.folder = folder_ / "study";
  const auto rows = run_study(study);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_GT(rows[2].parameters, rows[0].parameters);
  EXPECT_GT(rows[2].operations.multiply_adds, rows[0].operations.multiply_adds);
  EXPECT_EQ(rows[0].problem, "");
  EXPECT_THAT(rows[1].problem, HasSubstr("training stopped"));
  ASSERT_EQ(rows[0].runs.size(), 4U);
  EXPECT_EQ(rows[0].runs[0].epochs, 2);
  EXPECT_GT(rows[0].runs[0].patches_per_s, 0);
  EXPECT_GT(rows[0].runs[0].prediction_s, 0);
  const Json table = study_json(rows, study.settings.metrics);
  EXPECT_EQ(table[2]["name"], "wide");
  EXPECT_EQ(table[2]["Dice"]["values"].size(), 4U);
  EXPECT_THAT(study_table(rows, study.settings.metrics), HasSubstr(" ± "));
  // Predictions lie on the grid of their references.
  for (const CaseScores& one : rows[0].runs[0].evaluation.cases)
    EXPECT_TRUE(same_grid(read_geometry(one.files.reference), read_geometry(one.files.prediction)));
  // A case counts once, with the mean of its seeds.
  const Method method = method_of(rows[0]);
  EXPECT_EQ(method.evaluation.cases.size(), 2U);
  const auto dice = [](const Evaluation& e, size_t c) { return e.cases[c].labels[0].values[0].value_or(-1); };
  EXPECT_DOUBLE_EQ(dice(method.evaluation, 0),
                   (dice(rows[0].runs[0].evaluation, 0) + dice(rows[0].runs[1].evaluation, 0)) / 2);
  std::ifstream file(folder_ / "study/report.html");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  for (const char* text : {"small", "wide", "Failed", "broken", "p, Holm", "Hardest cases", "<svg"})
    EXPECT_THAT(page, HasSubstr(text));

  EXPECT_FALSE(fs::is_empty(folder_ / "study/small/repeat_0_seed_1/report/pictures"));

  const auto written = fs::last_write_time(folder_ / "study/wide/repeat_1_seed_2/best.safetensors");
  Json again = study_json(run_study(study), study.settings.metrics);
  EXPECT_EQ(again[2]["Dice"], table[2]["Dice"]);
  EXPECT_GT(table[2]["runs"][0]["prediction_s"], 0);
  EXPECT_EQ(again[2]["runs"][0]["prediction_s"], table[2]["runs"][0]["prediction_s"]);
  EXPECT_EQ(fs::last_write_time(folder_ / "study/wide/repeat_1_seed_2/best.safetensors"), written);
  study.settings.variants[2].name = "small";
  EXPECT_THROW(run_study(study), UsageError);
}

TEST_F(LesionTraining, ABudgetOfSecondsBecomesEpochsOnce) {
  StudyOptions study;
  Json settings = recipe();
  settings["data"]["dataset"]["folder"] = folder_ / "tree";
  settings["training"]["epochs"] = 3;
  study.recipe = {"lesions", {{"lesions", settings}}};
  study.settings.variants = {{"one", {}, {}}};
  study.settings.budget.seconds = 1e-6;  // less than an epoch, which is the least
  study.folder = folder_ / "timed";
  const auto rows = run_study(study);
  ASSERT_EQ(rows[0].problem, "");
  EXPECT_EQ(rows[0].runs[0].epochs, 1);
  EXPECT_GT(read_json(folder_ / "timed/one/repeat_0.budget.json")["seconds_of_an_epoch"].get<double>(), 0);
  EXPECT_FALSE(fs::exists(folder_ / "timed/one/repeat_0.trial"));
}

TEST_F(LesionTraining, APlanIsAPieceOfTheRecipe) {
  RunSettings settings = options("none", 1).settings;
  const auto found = inspect_cases(read_dataset(settings.data.dataset), volumes_of(settings).plan, 1);
  EXPECT_TRUE(found.problems.empty());
  PlannerSettings planner;
  planner.first_features = 4;
  const auto planned = plan_experiment(found.fingerprint, 2, planner);
  Json planned_json = planned_recipe(settings.network, volumes_of(settings).plan, planned, found.fingerprint);
  Json whole = recipe();
  whole.merge_patch(planned_json);
  const RunSettings merged = resolved(from_json<RunSettings>(whole));
  EXPECT_EQ(merged.network["in_channels"], 2);
  EXPECT_EQ(volumes_of(merged).plan.spacing, (std::vector<double>{1, 1, 1.5}));
  EXPECT_EQ(merged.network["strides"].size(), planned.stages.strides.size());
}

}  // namespace
}  // namespace mambaseg
