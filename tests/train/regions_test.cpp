// nnU-Net's regions and its ignore label from dataset.json to scores: a drawn tumour of three nested labels
// in two channels, with a slab of voxels that nobody labelled.

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <torch/utils.h>

#include "mambaseg/infer/two_stage.h"
#include "mambaseg/io/image.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/report/evaluation.h"
#include "mambaseg/tasks/volumes/fingerprint.h"
#include "mambaseg/train/curves.h"
#include "mambaseg/train/trainer.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/task_settings.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class Regions : public testing::Test {
 protected:
  Regions() {
    torch::set_num_threads(1);
    for (const char* name : {"set/imagesTr", "set/labelsTr", "truth"}) fs::create_directories(folder_ / name);
    for (int i = 0; i < 4; ++i) draw_case(i);
    std::ofstream(folder_ / "set/dataset.json") << R"({"channel_names": {"0": "T1", "1": "T2"},
      "labels": {"background": 0, "whole tumour": [1, 2, 3], "core": [2, 3], "active": 3, "ignore": 4},
      "regions_class_order": [1, 2, 3], "numTraining": 4, "file_ending": ".nii.gz"})";
  }

  /// Nested boxes: label 1 bright in the first channel, 2 in the second, 3 in both. Slices 0 to 2 are
  /// ignored, although a part of the tumour lies there.
  void draw_case(int number) const {
    Geometry geometry;
    geometry.size = {20, 18, 16};
    Volume<float> first(geometry), second(geometry);
    Volume<int32_t> labels(geometry), truth(geometry);
    for (int64_t k = 1; k < 15; ++k)
      for (int64_t j = 1; j < 17; ++j)
        for (int64_t i = 1; i < 19; ++i) {
          const int64_t x = i - number;
          const bool whole = x >= 3 && x < 14 && j >= 4 && j < 14 && k >= 1 && k < 13,
                     core = x >= 5 && x < 12 && j >= 6 && j < 12 && k >= 3 && k < 11,
                     active = x >= 7 && x < 11 && j >= 7 && j < 11 && k >= 5 && k < 9;
          const int label = active ? 3 : core ? 2 : whole ? 1 : 0;
          const auto texture = static_cast<float>((i * 7 + j * 3 + k) % 5);
          first.at(i, j, k) = (label == 1 || label == 3 ? 160.0F : 60.0F) + texture;
          second.at(i, j, k) = (label >= 2 ? 160.0F : 60.0F) + texture;
          truth.at(i, j, k) = label;
          labels.at(i, j, k) = label;
        }
    for (int64_t k = 0; k < 3; ++k)
      for (int64_t j = 0; j < 18; ++j)
        for (int64_t i = 0; i < 20; ++i) labels.at(i, j, k) = 4;
    const std::string id = concat("case_", number);
    write_volume(folder_ / ("set/imagesTr/" + id + "_0000.nii.gz"), first);
    write_volume(folder_ / ("set/imagesTr/" + id + "_0001.nii.gz"), second);
    write_labels(folder_ / ("set/labelsTr/" + id + ".nii.gz"), labels);
    write_labels(folder_ / ("truth/" + id + ".nii.gz"), truth);
  }

  RunSettings settings(int64_t epochs) const {
    auto out = from_json<RunSettings>(parse_toml(R"(
      [network]
      name = "plain_unet"
      in_channels = 2
      features = [6, 12]
      [plan]
      conform = "none"
      orientation = "RAS"
      intensity = "zscore"
      patch = [12, 12, 12]
      window = "gaussian"
      [data.split]
      validation = ["case_3"]
      [sampling]
      kind = "random"
      patches_per_case = 4
      [loss]
      name = "dice_binary_cross_entropy"
      [training]
      optimizer = "adamw"
      learning_rate = 0.01
      batch = 2
      patches_per_step = 2
      deep_supervision = []
      seed = 3
      [schedule]
      kind = "constant"
    )",
                                                 "test"));
    out.data.dataset.folder = folder_ / "set";
    out.data.cache = folder_ / "cache";
    out.training.epochs = epochs;
    return out;
  }

  TrainOptions options(const std::string& run, int64_t epochs) const {
    TrainOptions out;
    out.settings = settings(epochs);
    out.folder = folder_ / run;
    return out;
  }

  TemporaryFolder folder_;
};

TEST_F(Regions, ThePlanTakesThemFromTheDataSet) {
  const RunSettings run = resolved(settings(1));
  EXPECT_EQ(volumes_of(run).plan.classes.size(), 3u);
  EXPECT_EQ(volumes_of(run).plan.classes[0].name, "whole tumour");
  EXPECT_THAT(volumes_of(run).plan.regions_class_order, ElementsAre(1, 2, 3));
  EXPECT_EQ(volumes_of(run).plan.ignore_label, 4);
  EXPECT_EQ(run.network["classes"], 3);  // no background
  RunSettings softmax = settings(1);
  softmax.loss = {{"name", "dice_cross_entropy"}};
  EXPECT_THROW(resolved(softmax), UsageError);
  RunSettings four = settings(1);
  four.network["classes"] = 4;
  EXPECT_THROW(resolved(four), UsageError);
}

TEST_F(Regions, TheFingerprintCountsEachAndNothingThatIsIgnored) {
  const RunSettings run = resolved(settings(1));
  const Inspection found = inspect_cases(read_dataset(run.data.dataset), volumes_of(run).plan, 1);
  EXPECT_TRUE(found.problems.empty());
  const auto& voxels = found.fingerprint.class_voxels;
  ASSERT_EQ(voxels.size(), 4u);
  EXPECT_EQ(voxels[3], 4 * 4 * 4 * 4);
  EXPECT_EQ(voxels[2], 4 * 7 * 6 * 8);
  EXPECT_EQ(voxels[1], 4 * 11 * 10 * 10);  // two slices of twelve are ignored
  EXPECT_EQ(voxels[0] + voxels[1], 4 * 20 * 18 * 13);
}

TEST_F(Regions, AreLearnedPredictedAndScored) {
  const TrainResult result = train(options("run", 30));
  const auto lines = read_epoch_lines(folder_ / "run/journal.jsonl");
  EXPECT_GT(lines.back()["validation"]["dice"].get<double>(), 0.8) << lines.back();
  EXPECT_TRUE(lines.back()["validation"]["classes"].contains("core"));

  const Model model = load_model(result.best_path);
  EXPECT_EQ(model.info.plan["regions_class_order"], Json({1, 2, 3}));
  EXPECT_EQ(model.info.plan["ignore_label"], 4);
  EXPECT_EQ(model.info.network["classes"], 3);

  Predictor predictor = Predictor::load({result.best_path}, {});
  EXPECT_EQ(predictor.probability_maps(), 3);
  std::vector<torch::Tensor> slices;
  const std::vector<Image> channels{read_image(folder_ / "set/imagesTr/case_3_0000.nii.gz"),
                                    read_image(folder_ / "set/imagesTr/case_3_0001.nii.gz")};
  TwoStage stages(std::move(predictor), std::nullopt);
  const Volume<int32_t> labels =
      stages.run(channels, {}, {}, {}, [&](const torch::Tensor& p, int64_t) { slices.push_back(p.clone()); })
          .first;
  EXPECT_LE(*std::max_element(labels.voxels.begin(), labels.voxels.end()), 3);  // never the ignored one
  ASSERT_EQ(slices.size(), 16u);
  const auto middle =
      slices[7];  // inside the active part all three probabilities are high, their sum is no 1
  EXPECT_EQ(middle.size(0), 3);
  EXPECT_GT(middle.slice(1, 11, 13).slice(2, 8, 10).sum(0).mean().item<double>(), 2);
  EXPECT_LE(middle.max().item<double>(), 1 + 1e-5);

  // The whole volume's votes, and an ensemble's, give the same.
  const PreparedImage prepared = prepare_images(channels, stages.first().plan());
  const auto classes = stages.first().classes(prepared, stages.first().plan_work(prepared));
  EXPECT_EQ(classes_to_labels(classes, prepared.input, stages.first().plan()).voxels, labels.voxels);
  TwoStage ensemble(Predictor::load({result.best_path, result.best_path}, {}), std::nullopt);
  EXPECT_EQ(ensemble.run(channels).first.voxels, labels.voxels);

  fs::create_directories(folder_ / "predicted");
  write_labels(folder_ / "predicted/case_3.nii.gz", labels);
  EvaluationOptions how;
  how.metrics = {"Dice"};
  how.labels = read_label_table(folder_ / "set/dataset.json");
  const Evaluation scores =
      evaluate(pair_cases(folder_ / "set/labelsTr/case_3.nii.gz", folder_ / "predicted/case_3.nii.gz"), how);
  ASSERT_EQ(scores.labels.size(), 3u);
  for (size_t region = 0; region < 3; ++region) EXPECT_GT(scores.values(0, region)[0], 0.8) << region;
  // The model names the same regions.
  how.labels = read_label_table(result.best_path);
  EXPECT_TRUE(how.labels.regions);
  const Evaluation again =
      evaluate(pair_cases(folder_ / "set/labelsTr/case_3.nii.gz", folder_ / "predicted/case_3.nii.gz"), how);
  EXPECT_EQ(again.values(0, 1), scores.values(0, 1));
}

TEST_F(Regions, AResumedRunEqualsAnUninterruptedOne) {
  train(options("whole", 3));
  train(options("parts", 1));
  TrainOptions rest = options("parts", 3);
  rest.resume = true;
  train(rest);
  const Model a = load_model(folder_ / "whole/last.safetensors"),
              b = load_model(folder_ / "parts/last.safetensors");
  const auto other = b.network->named_parameters();
  for (const auto& parameter : a.network->named_parameters())
    EXPECT_TRUE(torch::equal(parameter.value(), other[parameter.key()])) << parameter.key();
}

TEST_F(Regions, ClassesThatExcludeEachOtherIgnoreToo) {
  RunSettings softmax = settings(12);
  volumes_of(softmax).plan.classes = {{"edema", {1}}, {"core", {2}}, {"active", {3}}};
  volumes_of(softmax).plan.ignore_label = 4;
  softmax.loss = {{"name", "dice_cross_entropy"}, {"dice", {{"background", false}}}};
  TrainOptions exclusive = options("exclusive", 12);
  softmax.data.cache = folder_ / "other_cache";
  exclusive.settings = softmax;
  train(exclusive);
  EXPECT_EQ(load_model(folder_ / "exclusive/last.safetensors").info.network["classes"], 4);
  const auto lines = read_epoch_lines(folder_ / "exclusive/journal.jsonl");
  EXPECT_GT(lines.back()["validation"]["dice"].get<double>(), 0.6) << lines.back();
}

}  // namespace
}  // namespace mambaseg
