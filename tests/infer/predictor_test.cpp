#include "mambaseg/infer/predictor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "mambaseg/core/error.h"
#include "mambaseg/data/conform.h"
#include "mambaseg/infer/two_stage.h"

namespace mambaseg {
namespace {

/// Class 0 below 0.3, class 1 up to 0.8, class 2 above: what comes out tells exactly what went in.
class Threshold : public Network {
 public:
  std::vector<torch::Tensor> forward(const torch::Tensor& x) override {
    const auto first = 50 * (x - 0.3);
    return {torch::cat({torch::zeros_like(x), first, first + 100 * (x - 0.8)}, 1)};
  }
  int64_t size_multiple() const override { return 4; }
};

Model threshold_model(const Json& network = {{"in_channels", 1}, {"classes", 3}}) {
  ModelInfo info;
  info.network = network;
  return {std::make_shared<Threshold>(), info};
}

Plan plan_of(const std::string& conform, int64_t patch, int64_t step) {
  Plan plan;
  plan.conform = conform;
  plan.patch = {patch, patch, patch};
  plan.step = step;
  plan.classes = {{"grey", {17}}, {"white", {53}}};
  return plan;
}

Geometry ras_grid(const Index3& size, const Vector3& spacing, double angle = 0) {
  Geometry out;
  out.size = size;
  out.voxel_to_ras_mm.matrix = {{{spacing[0] * std::cos(angle), -spacing[1] * std::sin(angle), 0},
                                 {spacing[0] * std::sin(angle), spacing[1] * std::cos(angle), 0},
                                 {0, 0, spacing[2]}}};
  out.voxel_to_ras_mm.offset = {-20, 13, 5};
  return out;
}

/// A box of voxels with a bright part, and the labels it stands for.
struct Drawn {
  Image image;
  Volume<int32_t> labels;
};

Drawn drawn_on(const Geometry& geometry, const Box& brain) {
  Drawn out{{geometry, {}}, Volume<int32_t>(geometry)};
  std::vector<uint8_t> values(out.labels.voxels.size(), 0);
  for (int64_t k = brain.start[2]; k < brain.end(2); ++k)
    for (int64_t j = brain.start[1]; j < brain.end(1); ++j)
      for (int64_t i = brain.start[0]; i < brain.end(0); ++i) {
        const bool bright =
            i < brain.start[0] + brain.size[0] / 3 || k > brain.start[2] + 2 * brain.size[2] / 3;
        values[size_t(out.labels.offset(i, j, k))] = bright ? 200 : 110;
        out.labels.at(i, j, k) = bright ? 53 : 17;
      }
  out.image.voxels = values;
  return out;
}

CaseLabels run(const Plan& plan, const Image& image, const Warn& warn = {}) {
  return TwoStage(Predictor({threshold_model()}, plan, {}), std::nullopt).run(image, {}, warn);
}

// Labels come back voxel for voxel, wherever the brain lies: small (20 voxels, spec 1.9 pitfall d), off
// centre, at the border, and in any orientation (pitfall g), on the file's own grid (pitfall f).
TEST(Predictor, PitfallsDFGLabelsComeBackWhereTheyWere) {
  const Geometry ras = ras_grid({40, 36, 44}, {1, 2, 3}, 0.3);
  for (const std::string orientation : {"RAS", "LIA", "PSR", "ILP"}) {
    const Geometry geometry = permuted(ras, permutation_between(ras.orientation(), orientation));
    const Index3& n = geometry.size;
    for (const Box& brain :
         {Box{{8, 9, 10}, {20, 20, 20}}, Box{{1, 2, 3}, {7, 5, 9}}, Box{{0, 0, 0}, {12, 20, 14}},
          Box{{n[0] - 15, n[1] - 9, n[2] - 3}, {15, 9, 3}}, Box{{0, 0, 0}, {n[0], n[1], n[2] - 1}}}) {
      const Drawn drawn = drawn_on(geometry, brain);
      for (const int64_t step : {7, 16}) {
        const CaseLabels out = run(plan_of("none", 16, step), drawn.image);
        EXPECT_EQ(out.first.geometry, geometry);
        ASSERT_EQ(out.first.voxels, drawn.labels.voxels) << orientation << " step " << step;
      }
    }
  }
}

TEST(Predictor, SmallBrainInTheDefaultPatchIsOnePatch) {
  const Drawn drawn = drawn_on(ras_grid({50, 60, 40}, {1, 1, 1}), {{20, 20, 20}, {20, 20, 20}});
  const Predictor predictor({threshold_model()}, plan_of("none", 96, 32), {});
  EXPECT_EQ(predictor.plan_work(prepare_image(drawn.image, predictor.plan())).patches, 1);
  EXPECT_EQ(run(predictor.plan(), drawn.image).first.voxels, drawn.labels.voxels);
}

// Spec 1.9 pitfall (c): an empty slice inside the head does not shift labels.
TEST(Predictor, PitfallCEmptySliceInside) {
  Drawn drawn = drawn_on(ras_grid({30, 30, 30}, {1, 1, 1}), {{5, 5, 5}, {20, 20, 20}});
  for (int64_t k = 0; k < 30; ++k)
    for (int64_t j = 0; j < 30; ++j)
      for (int64_t i = 12; i < 15; ++i) {
        std::get<std::vector<uint8_t>>(drawn.image.voxels)[size_t(drawn.labels.offset(i, j, k))] = 0;
        drawn.labels.at(i, j, k) = 0;
      }
  EXPECT_EQ(run(plan_of("none", 16, 8), drawn.image).first.voxels, drawn.labels.voxels);
}

/// Voxels whose 26 neighbours have their label: resampling cannot change those.
void expect_interior_kept(const Volume<int32_t>& expected, const Volume<int32_t>& got, const char* name) {
  const Index3& n = expected.geometry.size;
  int64_t checked = 0;
  for (int64_t k = 1; k + 1 < n[2]; ++k)
    for (int64_t j = 1; j + 1 < n[1]; ++j)
      for (int64_t i = 1; i + 1 < n[0]; ++i) {
        bool uniform = true;
        for (int64_t d = 0; d < 27; ++d)
          uniform =
              uniform && expected.at(i + d % 3 - 1, j + d / 3 % 3 - 1, k + d / 9 - 1) == expected.at(i, j, k);
        if (!uniform) continue;
        checked += expected.at(i, j, k) != 0;
        ASSERT_EQ(got.at(i, j, k), expected.at(i, j, k)) << name << " " << i << " " << j << " " << k;
      }
  EXPECT_GT(checked, 100) << name;
}

TEST(Predictor, ConformedAnisotropicRotatedAndBack) {
  for (const auto& [name, geometry] :
       {std::pair{"anisotropic, rotated", ras_grid({60, 40, 24}, {1, 1.5, 3}, 0.4)},
        std::pair{"turned",
                  permuted(ras_grid({60, 50, 40}, {1.2, 1.2, 1.2}), permutation_between("RAS", "PIL"))}}) {
    const Drawn drawn = drawn_on(geometry, {{10, 8, 6}, {30, 22, 14}});
    const CaseLabels out = run(plan_of("freesurfer", 96, 48), drawn.image);
    EXPECT_EQ(out.first.geometry, geometry);
    expect_interior_kept(drawn.labels, out.first, name);
  }
}

TEST(Predictor, AlreadyConformedComesBackExactly) {
  const Geometry geometry = freesurfer_grid(ras_grid({10, 10, 10}, {1, 1, 1}));
  const Drawn drawn = drawn_on(geometry, {{100, 3, 190}, {60, 40, 66}});
  EXPECT_EQ(run(plan_of("freesurfer", 96, 96), drawn.image).first.voxels, drawn.labels.voxels);
}

// Spec 1.9 pitfall (a): the step that is asked for is the step that is used.
TEST(Predictor, PitfallAStepIsObeyed) {
  const Drawn drawn = drawn_on(ras_grid({30, 30, 30}, {1, 1, 1}), {{0, 0, 0}, {30, 30, 30}});
  PredictorSettings settings;
  for (const auto& [step, patches] : {std::pair{2, 8 * 8 * 8}, std::pair{7, 27}, std::pair{14, 8}}) {
    settings.step = step;
    const Predictor predictor({threshold_model()}, plan_of("none", 16, 16), settings);
    EXPECT_EQ(predictor.plan_work(prepare_image(drawn.image, predictor.plan())).patches, patches);
  }
  settings.step = 17;
  EXPECT_THROW(Predictor({threshold_model()}, plan_of("none", 16, 16), settings), UsageError);
}

Plan second_plan() {
  Plan plan = plan_of("none", 16, 8);
  plan.region = "labels";
  plan.region_labels = {53};
  plan.classes = {{"a", {1001}}, {"b", {2001}}};
  return plan;
}

// Spec 1.9 pitfall (h): the second stage works at the border, over a region longer than its patch, and
// without region.
TEST(TwoStage, PitfallHRegionAnywhere) {
  const Geometry geometry = ras_grid({40, 36, 44}, {1, 1, 1});
  const TwoStage stages(Predictor({threshold_model()}, plan_of("none", 16, 16), {}),
                        Predictor({threshold_model()}, second_plan(), {}));
  for (const Box& brain :
       {Box{{0, 0, 0}, {9, 6, 6}}, Box{{30, 20, 30}, {10, 16, 14}}, Box{{2, 3, 4}, {34, 30, 38}}}) {
    const Drawn drawn = drawn_on(geometry, brain);
    const CaseLabels out = stages.run(drawn.image);
    EXPECT_EQ(out.first.voxels, drawn.labels.voxels);
    ASSERT_TRUE(out.second.has_value());
    for (size_t v = 0; v < drawn.labels.voxels.size(); ++v)
      ASSERT_TRUE(drawn.labels.voxels[v] != 53 || out.second->voxels[v] == 2001);
  }
  Drawn none = drawn_on(geometry, {{5, 5, 5}, {10, 10, 10}});
  auto& values = std::get<std::vector<uint8_t>>(none.image.voxels);
  for (uint8_t& v : values)
    if (v == 200) v = 0;
  values[0] = 255;  // keeps the intensity scale; one voxel of class 2 in a corner
  Plan elsewhere = second_plan();
  elsewhere.region_labels = {99};
  std::string warned;
  const TwoStage skipping(Predictor({threshold_model()}, plan_of("none", 16, 16), {}),
                          Predictor({threshold_model()}, elsewhere, {}));
  EXPECT_FALSE(
      skipping.run(none.image, {}, [&](const std::string& line) { warned = line; }).second.has_value());
  EXPECT_NE(warned.find("99"), std::string::npos);
}

// Spec 1.9 pitfall (j): a missing model is refused, not passed on.
TEST(TwoStage, PitfallJModelsInTheWrongPlacesAreRefused) {
  const Predictor brain({threshold_model()}, plan_of("none", 16, 16), {});
  const Predictor region({threshold_model()}, second_plan(), {});
  EXPECT_THROW(TwoStage(region, std::nullopt), UsageError);
  EXPECT_THROW(TwoStage(brain, brain), UsageError);
  EXPECT_THROW(Predictor({}, plan_of("none", 16, 16), {}), Error);
  EXPECT_THROW(Predictor::load({}, {}), Error);
  EXPECT_THROW(Predictor::load({"/no/such/model.safetensors"}, {}), Error);
}

TEST(Predictor, RefusesNetworksThatDoNotFitThePlan) {
  const Plan plan = plan_of("none", 16, 16);
  EXPECT_THROW(Predictor({threshold_model({{"in_channels", 4}, {"classes", 3}})}, plan, {}), UsageError);
  EXPECT_THROW(Predictor({threshold_model({{"in_channels", 1}, {"classes", 5}})}, plan, {}), UsageError);
  EXPECT_THROW(Predictor({threshold_model()}, plan_of("none", 18, 16), {}), UsageError);
}

TEST(Predictor, EnsembleOfEqualModelsIsTheModel) {
  const Drawn drawn = drawn_on(ras_grid({20, 20, 20}, {1, 1, 1}), {{2, 2, 2}, {15, 15, 15}});
  const Predictor predictor({threshold_model(), threshold_model()}, plan_of("none", 16, 8), {});
  EXPECT_EQ(TwoStage(predictor, std::nullopt).run(drawn.image).first.voxels, drawn.labels.voxels);
}

}  // namespace
}  // namespace mambaseg
