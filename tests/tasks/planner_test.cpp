#include "mambaseg/tasks/volumes/planner.h"

#include <gtest/gtest.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

Fingerprint of_cases(const std::vector<std::vector<int64_t>>& sizes,
                     const std::vector<std::vector<double>>& spacings) {
  Fingerprint out;
  for (size_t i = 0; i < sizes.size(); ++i)
    out.cases.push_back({"case" + std::to_string(i), sizes[i], spacings[i % spacings.size()]});
  out.channels.resize(1);
  return out;
}

TEST(PlanStages, HalvesEveryAxisWhileEightVoxelsAreLeft) {
  std::vector<int64_t> patch{128, 128, 128};
  const StagePlan stages = plan_stages(patch, {1, 1, 1}, {});
  EXPECT_EQ(stages.features, (std::vector<int64_t>{32, 64, 128, 256, 320, 320}));  // nnU-Net's plan for 128^3
  EXPECT_EQ(stages.strides.front(), (std::vector<int64_t>{1, 1, 1}));
  EXPECT_EQ(stages.strides.back(), (std::vector<int64_t>{2, 2, 2}));
  EXPECT_EQ(patch, (std::vector<int64_t>{128, 128, 128}));
}

TEST(PlanStages, ThickSlicesAreHalvedLaterAndFilteredFlat) {
  std::vector<int64_t> patch{320, 256, 20};
  const StagePlan stages = plan_stages(patch, {0.6, 0.6, 3}, {});
  EXPECT_EQ(stages.kernels[0], (std::vector<int64_t>{3, 3, 1}));
  EXPECT_EQ(stages.strides[1], (std::vector<int64_t>{2, 2, 1}));
  EXPECT_EQ(stages.strides[2], (std::vector<int64_t>{2, 2, 1}));
  EXPECT_EQ(stages.strides[3], (std::vector<int64_t>{2, 2, 2}));  // 2.4 mm beside 3 mm
  for (size_t a = 0; a < 3; ++a) {
    int64_t divisor = 1;
    for (const auto& stride : stages.strides) divisor *= stride[a];
    EXPECT_EQ(patch[a] % divisor, 0) << a;
  }
}

TEST(PlanExperiment, SmallImagesGetOnePatch) {
  // MSD hippocampus: the median case is 36 x 50 x 35 voxels of 1 mm; nnU-Net plans 40 x 56 x 40.
  const auto plan =
      plan_experiment(of_cases(std::vector<std::vector<int64_t>>(200, {36, 50, 35}), {{1, 1, 1}}), 3, {});
  EXPECT_EQ(plan.patch, (std::vector<int64_t>{40, 56, 40}));
  EXPECT_EQ(plan.stages.features.size(), 4U);
  EXPECT_GE(plan.batch, 2);
}

TEST(PlanExperiment, KeepsToItsBudget) {
  const auto data = of_cases(std::vector<std::vector<int64_t>>(50, {182, 218, 182}), {{1, 1, 1}});
  std::vector<int64_t> before{1000, 1000, 1000};
  for (const double gib : {16.0, 8.0, 4.0, 2.0}) {
    PlannerSettings settings;
    settings.memory_gib = gib;
    const auto plan = plan_experiment(data, 2, settings);
    EXPECT_LE(plan.step_gib, gib);
    EXPECT_GT(plan.step_gib, 0.3 * gib) << "the budget is not used";
    for (size_t a = 0; a < 3; ++a) EXPECT_LE(plan.patch[a], before[a]);
    before = plan.patch;
  }
  PlannerSettings tiny;
  tiny.memory_gib = 0.1;
  tiny.first_features = 320;
  EXPECT_THROW(plan_experiment(data, 2, tiny), Error);
  EXPECT_THROW(plan_experiment({}, 2, {}), Error);
}

TEST(PlanExperiment, SpacingIsTheMedianAndFinerAlongThickSlices) {
  const std::vector<std::vector<double>> thick{
      {0.5, 0.5, 2}, {0.5, 0.5, 5}, {0.5, 0.5, 5}, {0.5, 0.5, 5}, {0.5, 0.5, 5}};
  const auto plan =
      plan_experiment(of_cases(std::vector<std::vector<int64_t>>(5, {256, 256, 30}), thick), 2, {});
  EXPECT_NEAR(plan.spacing_mm[2], 3.2, 1e-9);  // 10 % of the way from 2 to 5, in ranks: 0.4 of the first gap
  EXPECT_EQ(plan.spacing_mm[0], 0.5);
}

}  // namespace
}  // namespace mambaseg
