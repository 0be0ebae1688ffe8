#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/utils.h>

#include "mambaseg/io/image.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/tasks/synthetic/synthetic_task.h"
#include "mambaseg/train/trainer.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// Two label maps of a head of boxes, 64^3 of 2 mm, and one of them with a scan.
class SyntheticTraining : public testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    for (const char* sub : {"data", "data/labels", "data/images"}) fs::create_directory(folder_ / sub);
    Geometry geometry;
    geometry.size = {64, 64, 64};
    geometry.voxel_to_ras_mm.matrix = {{{2, 0, 0}, {0, 2, 0}, {0, 0, 2}}};
    Volume<int32_t> labels(geometry);
    Volume<float> scan(geometry);
    const auto fill = [&](int from, int to, int32_t left, int32_t right, float value) {
      for (int k = from; k < to; ++k)
        for (int j = from; j < to; ++j)
          for (int i = from; i < to; ++i) {
            labels.at(i, j, k) = i < 32 ? left : right;
            scan.at(i, j, k) = value;
          }
    };
    fill(8, 56, 3, 42, 60);    // cortex
    fill(14, 50, 2, 41, 100);  // white matter
    fill(24, 40, 10, 49, 84);  // thalamus
    write_labels(folder_ / "data/labels/a.nii.gz", labels);
    write_labels(folder_ / "data/labels/b.nii.gz", labels);
    write_volume(folder_ / "data/images/b.nii.gz", scan);
  }

  TrainOptions options(const std::vector<std::string>& validation) const {
    TrainOptions out;
    RunSettings& settings = out.settings;
    settings.task = AnyTask("synthetic");
    auto& task = dynamic_cast<SyntheticTask&>(*settings.task);
    task.plan.conform = "spacing";
    task.plan.spacing = {2, 2, 2};
    task.plan.patch = {32, 32, 32};
    task.plan.classes = {{"Left-Thalamus", {10}}, {"Right-Thalamus", {49}}};
    task.synthesis.samples_per_case = 2;
    settings.network = {{"name", "medsegmamba"},
                        {"widths", {8, 8, 8, 16}},
                        {"token_width", 12},
                        {"layers", 1},
                        {"states", 2}};
    settings.data.dataset.folder = folder_ / "data";
    settings.data.dataset.layout = "label_maps";
    settings.data.split.validation = validation;
    settings.training.epochs = 1;
    out.folder = folder_ / "run";
    return out;
  }

  TemporaryFolder folder_;
};

TEST_F(SyntheticTraining, GivesAModelOfVolumes) {
  std::vector<Json> lines;
  TrainOptions run = options({});  // the scan validates
  run.on_line = [&](const Json& line) { lines.push_back(line); };
  train(run);
  EXPECT_TRUE(lines.back().contains("validation")) << lines.back();
  EXPECT_GT(lines.back()["loss"].get<double>(), 0);
  const Model model = load_model(folder_ / "run/best.safetensors");
  EXPECT_STREQ(task_of_model(model.info.plan)->name(), "volumes");
  EXPECT_EQ(model.info.network["classes"], 3);
  EXPECT_EQ(model.info.network["in_channels"], 1);
}

TEST_F(SyntheticTraining, LabelMapsWithoutAScanCannotValidate) {
  try {
    train(options({"a"}));
    ADD_FAILURE();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("case a cannot validate: it is a label map without a scan"));
  }
}

TEST_F(SyntheticTraining, ScansTrainAsVolumesDo) {
  const TrainOptions run = options({"b"});
  const auto cases = read_dataset(run.settings.data.dataset);
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_TRUE(cases[0].images.empty());
  const Preparation preparation = run.settings.task->preparation();
  const PreparedCase map = preparation.prepare(cases[0], nullptr),
                     scan = preparation.prepare(cases[1], nullptr);
  EXPECT_TRUE(map.label_map);
  EXPECT_FALSE(scan.label_map);
  const Sample drawn = run.settings.task->sampler(map)->draw(0, Random(1, 2)),
               cut = run.settings.task->sampler(scan)->draw(0, Random(1, 2));
  EXPECT_EQ(drawn.image.sizes(), cut.image.sizes());
  EXPECT_EQ(drawn.classes.sizes(), cut.classes.sizes());
}

}  // namespace
}  // namespace mambaseg
