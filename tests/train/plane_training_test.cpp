// FastSurfer's pipeline on a tiny drawn data set: one network a plane is trained on thick slices, and the
// three predict together.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/utils.h>

#include "mambaseg/io/image.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/train/trainer.h"
#include "mambaseg/train/validation.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/drawn_boxes.h"
#include "tests/train/task_settings.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// Heads of 20 x 16 x 12 voxels with a bright structure on the left and a less bright one on the right.
class PlaneTraining : public testing::Test {
 protected:
  PlaneTraining() {
    torch::set_num_threads(1);
    for (const char* sub : {"data", "data/images", "data/labels", "cases"})
      fs::create_directory(folder_ / sub);
    for (int64_t number = 0; number < 3; ++number) {
      const std::string name = concat("c", number, ".nii.gz");
      // RAS: the first axis grows from left to right.
      draw_boxes(folder_ / ("data/images/" + name), folder_ / ("data/labels/" + name), {20, 16, 12}, 60,
                 {{{2 + number, 4, 3}, {5, 7, 6}, 200, 1}, {{12 + number, 4, 3}, {5, 7, 6}, 140, 2}});
    }
  }

  TrainOptions options(const std::string& plane, const Json& network = {{"name", "fastsurfer_vinn"},
                                                                        {"width", 6},
                                                                        {"native_width", 4},
                                                                        {"grid", {32, 32}}}) const {
    TrainOptions out;
    RunSettings& settings = out.settings;
    settings.network = network;
    VolumesTask& task = volumes_of(settings);
    task.plan.conform = "none";
    task.plan.orientation = "RAS";
    task.plan.intensity = "unit";
    task.plan.crop_to_brain = false;
    task.plan.plane = plane;
    task.plan.slices = 3;
    task.plan.patch = {32, 32};
    task.plan.step = 32;
    task.plan.classes = {{"Left-A", {1}}, {"Right-A", {2}}};
    task.sampling.kind = "random";
    task.sampling.patches_per_case = 16;
    task.sampling.foreground = 0.8;
    task.augment.scale_factor_noise = 0.02;
    settings.data.dataset.folder = folder_ / "data";
    settings.data.split.validation = {"c2"};
    settings.data.cache = folder_ / "cases";
    settings.training.epochs = 12;
    settings.training.batch = 8;
    settings.training.patches_per_step = 8;
    settings.training.learning_rate = 0.01;
    settings.schedule.kind = "poly";  // to 0, so that the norms' statistics are those of the weights
    out.folder = folder_ / plane;
    return out;
  }

  /// Dice of both structures of a label file against those of case c2.
  CaseDice dice(const std::string& file) const {
    const auto tensor = [](const std::string& path) {
      const auto voxels = read_labels(path).voxels;
      return torch::tensor(std::vector<int64_t>(voxels.begin(), voxels.end())).to(torch::kUInt8);
    };
    return dice_of(tensor(file), tensor(folder_ / "data/labels/c2.nii.gz"), {{1}, {2}});
  }

  TemporaryFolder folder_;
};

TEST_F(PlaneTraining, ThreePlanesTrainApartAndPredictTogether) {
  PredictRequest request;
  for (const char* plane : {"axial", "coronal", "sagittal"}) {
    SCOPED_TRACE(plane);
    std::vector<Json> lines;
    TrainOptions run = options(plane);
    run.on_line = [&](const Json& line) { lines.push_back(line); };
    EXPECT_GT(train(run).best_dice, 0.7);
    const Json& last = lines.back();
    request.models.push_back(folder_ / (std::string(plane) + "/best.safetensors"));
    const ModelInfo info = read_model_info(request.models.back());
    EXPECT_EQ(info.network["in_channels"], 3);
    // Sagittal slices do not tell the sides apart.
    EXPECT_EQ(info.network["classes"], std::string(plane) == "sagittal" ? 2 : 3);
    const Json& scored = last["validation"]["classes"];
    EXPECT_EQ(scored.contains("Left-A and Right-A"), std::string(plane) == "sagittal") << scored;
  }
  request.inputs = {folder_ / "data/images/c2.nii.gz"};
  request.output = folder_ / "together.nii.gz";
  std::string notes;
  const Listeners listeners{
      {}, [](const std::string&) {}, [&](const std::string& line) { notes += line + "\n"; }};
  task_of_model(read_model_info(request.models[0]).plan)->predict_files(request, listeners);
  EXPECT_THAT(notes, testing::HasSubstr("of axial and coronal and sagittal slices"));
  for (const auto& one : dice(request.output)) EXPECT_GT(one.value(), 0.8);

  // One alone.
  request.models.resize(1);
  request.output = folder_ / "alone.nii.gz";
  task_of_model(read_model_info(request.models[0]).plan)->predict_files(request, listeners);
  for (const auto& one : dice(request.output)) EXPECT_GT(one.value(), 0.6);
}

TEST_F(PlaneTraining, AnyNetworkOfTwoDimensionsSeesSlices) {
  TrainOptions run = options("coronal", {{"name", "unet"}, {"widths", {4, 8, 8}}});
  run.settings.training.epochs = 1;
  train(run);
  EXPECT_EQ(load_model(folder_ / "coronal/best.safetensors").info.network["in_channels"], 3);
}

TEST_F(PlaneTraining, NetworksOfVolumesAreRefused) {
  try {
    train(options("axial", {{"name", "plain_unet"}, {"dims", 3}}));
    ADD_FAILURE();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("network.dims")) << error.what();
  }
}

TEST_F(PlaneTraining, OtherClassesOrPlansDoNotPredictTogether) {
  TrainOptions run = options("coronal");
  run.settings.training.epochs = 1;
  train(run);
  TrainOptions other = options("axial");
  volumes_of(other.settings).plan.slices = 5;
  other.settings.training.epochs = 1;
  train(other);
  PredictRequest request;
  request.models = {folder_ / "coronal/best.safetensors", folder_ / "axial/best.safetensors"};
  request.inputs = {folder_ / "data/images/c2.nii.gz"};
  request.output = folder_ / "labels.nii.gz";
  EXPECT_THROW(task_of_model(read_model_info(request.models[0]).plan)
                   ->predict_files(request, {{}, [](const std::string&) {}, [](const std::string&) {}}),
               Error);
}

}  // namespace
}  // namespace mambaseg
