// What `plan` writes, `train` takes: for every network of three dimensions, on drawn anisotropic data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/utils.h>

#include "mambaseg/io/image.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/tasks/volumes/fingerprint.h"
#include "mambaseg/tasks/volumes/planned_recipe.h"
#include "mambaseg/train/trainer.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/task_settings.h"

namespace mambaseg {
namespace {

std::vector<size_t> networks_of_volumes() {
  std::vector<size_t> found;
  for (size_t i = 0; i < networks().size(); ++i)
    for (const int dims : networks()[i].dims)
      if (dims == 3) found.push_back(i);
  return found;
}

/// Thick slices, an odd number of them.
class PlannedTraining : public testing::TestWithParam<size_t> {
 protected:
  PlannedTraining() {
    torch::set_num_threads(1);
    for (const char* sub : {"data", "data/images", "data/labels"})
      std::filesystem::create_directory(folder_ / sub);
    for (int number = 0; number < 3; ++number) {
      Geometry geometry;
      geometry.size = {27, 21, 7};
      geometry.voxel_to_ras_mm.matrix = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 4.5}}};
      Volume<float> image(geometry, 40);
      Volume<int32_t> labels(geometry);
      for (int64_t k = 1; k < 6; ++k)
        for (int64_t j = 4; j < 12; ++j)
          for (int64_t i = 3; i < 12; ++i) {
            image.at(i + number, j, k) = 90;
            labels.at(i + number, j, k) = i < 8 ? 1 : 2;
          }
      const std::string name = concat("c", number, ".nii.gz");
      write_volume(folder_ / ("data/images/" + name), image);
      write_labels(folder_ / ("data/labels/" + name), labels);
    }
  }
  TemporaryFolder folder_;
};

TEST_P(PlannedTraining, AStepRunsWithWhatThePlanSays) {
  const NetworkEntry& entry = networks()[GetParam()];
  RunSettings recipe;
  recipe.network = entry.small;
  recipe.network["name"] = entry.name;
  volumes_of(recipe).plan.conform = "none";
  volumes_of(recipe).plan.orientation = "RAS";
  volumes_of(recipe).plan.intensity = "zscore_all";
  volumes_of(recipe).plan.classes = {{"one", {1}}, {"two", {2}}};
  recipe.data.dataset.folder = folder_ / "data";
  recipe.data.split.validation = {"c2"};
  volumes_of(recipe).sampling.kind = "random";
  volumes_of(recipe).sampling.patches_per_case = 1;
  recipe.training.epochs = 1;

  const Inspection found = inspect_cases(read_dataset(recipe.data.dataset), volumes_of(recipe).plan, 1);
  ASSERT_THAT(found.problems, testing::IsEmpty());
  PlannerSettings planner;
  planner.first_features = 4;
  planner.most_features = 8;
  const PlannedExperiment planned = plan_experiment(found.fingerprint, 3, planner);
  EXPECT_LT(planned.patch[2], planned.patch[0]);
  Json settings = to_json(recipe);
  settings.merge_patch(planned_recipe(recipe.network, volumes_of(recipe).plan, planned, found.fingerprint));
  TrainOptions options;
  options.settings = from_json<RunSettings>(settings);
  options.folder = folder_ / "run";
  int64_t epochs = 0;
  options.on_line = [&](const Json& line) { epochs += line.contains("epoch"); };
  EXPECT_NO_THROW(train(options));
  EXPECT_GT(epochs, 0);
}

INSTANTIATE_TEST_SUITE_P(Networks, PlannedTraining, testing::ValuesIn(networks_of_volumes()),
                         [](const auto& info) { return networks()[info.param].name; });

}  // namespace
}  // namespace mambaseg
