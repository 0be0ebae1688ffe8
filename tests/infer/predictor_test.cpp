#include "mambaseg/infer/predictor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "mambaseg/core/error.h"
#include "mambaseg/data/conform.h"
#include "mambaseg/infer/two_stage.h"
#include "mambaseg/ops/dense.h"

namespace mambaseg {
namespace {

/// Class 0 below 0.3, class 1 up to 0.8, class 2 above: what comes out tells exactly what went in.
class Threshold : public Network {
 public:
  Extent size_multiples() const override { return {4, 4, 4}; }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    const auto first = 50 * (x - 0.3);
    return {torch::cat({torch::zeros_like(x), first, first + 100 * (x - 0.8)}, 1)};
  }
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
  return TwoStage(Predictor({threshold_model()}, plan, {}), std::nullopt).run({image}, {}, warn);
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
  TwoStage stages(Predictor({threshold_model()}, plan_of("none", 16, 16), {}),
                  Predictor({threshold_model()}, second_plan(), {}));
  for (const Box& brain :
       {Box{{0, 0, 0}, {9, 6, 6}}, Box{{30, 20, 30}, {10, 16, 14}}, Box{{2, 3, 4}, {34, 30, 38}}}) {
    const Drawn drawn = drawn_on(geometry, brain);
    const CaseLabels out = stages.run({drawn.image});
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
  TwoStage skipping(Predictor({threshold_model()}, plan_of("none", 16, 16), {}),
                    Predictor({threshold_model()}, elsewhere, {}));
  EXPECT_FALSE(
      skipping.run({none.image}, {}, [&](const std::string& line) { warned = line; }).second.has_value());
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
  const Predictor four({threshold_model({{"in_channels", 4}, {"classes", 3}})}, plan, {});
  const Drawn one_channel = drawn_on(ras_grid({20, 20, 20}, {1, 1, 1}), {{2, 2, 2}, {15, 15, 15}});
  EXPECT_THROW(four.plan_work(prepare_image(one_channel.image, plan)), Error);
  EXPECT_THROW(Predictor({threshold_model({{"in_channels", 1}, {"classes", 5}})}, plan, {}), UsageError);
  EXPECT_THROW(Predictor({threshold_model()}, plan_of("none", 18, 16), {}), UsageError);
}

TEST(Predictor, EnsembleOfEqualModelsIsTheModel) {
  const Drawn drawn = drawn_on(ras_grid({20, 20, 20}, {1, 1, 1}), {{2, 2, 2}, {15, 15, 15}});
  const Predictor predictor({threshold_model(), threshold_model()}, plan_of("none", 16, 8), {});
  EXPECT_EQ(TwoStage(predictor, std::nullopt).run({drawn.image}).first.voxels, drawn.labels.voxels);
}

Plan spacing_plan(double spacing) {
  Plan plan = plan_of("spacing", 16, 16);
  plan.orientation = "RAS";
  plan.spacing = {spacing, spacing, spacing};
  plan.window = "gaussian";
  return plan;
}

TEST(Predictor, ScoresComeBackToTheGridOfTheFile) {
  for (const std::string orientation : {"RAS", "LPI", "SAR"}) {
    const Geometry ras = ras_grid({40, 30, 36}, {1, 1, 1.5}, 0.2);
    const Geometry geometry = permuted(ras, permutation_between("RAS", orientation));
    const Drawn drawn = drawn_on(geometry, {{6, 5, 4}, {22, 20, 21}});
    const CaseLabels same = run(spacing_plan(1), drawn.image);
    EXPECT_EQ(same.first.geometry, geometry);
    expect_interior_kept(drawn.labels, same.first, orientation.c_str());
    for (const double spacing : {0.8, 1.3})
      expect_interior_kept(drawn.labels, run(spacing_plan(spacing), drawn.image).first, orientation.c_str());
  }
}

TEST(Predictor, ProbabilitiesWithoutResamplingSayWhatTheLabelsSay) {
  const Geometry geometry = permuted(ras_grid({20, 24, 18}, {1, 1, 2}), permutation_between("RAS", "SLA"));
  const Drawn drawn = drawn_on(geometry, {{2, 3, 4}, {11, 12, 13}});
  const Predictor predictor({threshold_model()}, plan_of("none", 16, 16), {});
  auto image = prepare_image(drawn.image, predictor.plan());
  const Work work = predictor.plan_work(image);
  std::vector<torch::Tensor> largest;
  const auto take = [&](const torch::Tensor& p_KXY, int64_t z) {
    EXPECT_EQ(z, static_cast<int64_t>(largest.size()));
    EXPECT_TRUE(torch::allclose(p_KXY.sum(0), torch::ones({p_KXY.size(1), p_KXY.size(2)})));
    largest.push_back(p_KXY.argmax(0));
  };
  const Volume<int32_t> labels = predictor.labels(std::move(image), work, {}, take);
  EXPECT_EQ(labels.voxels, drawn.labels.voxels);
  ASSERT_EQ(static_cast<int64_t>(largest.size()), predictor.score_grid(geometry).size[2]);
  const auto& voxels = labels.voxels;
  EXPECT_EQ(torch::stack(largest).gt(0).sum().item<int64_t>(),
            std::count_if(voxels.begin(), voxels.end(), [](int32_t label) { return label > 0; }));
}

TEST(Predictor, HalfPrecisionVotesFitASmallerBudget) {
  const Drawn drawn = drawn_on(ras_grid({64, 64, 40}, {1, 1, 1}), {{0, 0, 0}, {64, 64, 40}});
  const auto labels_within = [&](double gib) {
    PredictorSettings settings;
    settings.memory_gib = gib;
    return TwoStage(Predictor({threshold_model()}, spacing_plan(1), settings), std::nullopt)
        .run({drawn.image})
        .first.voxels;
  };
  const Predictor free({threshold_model()}, spacing_plan(1), {});
  const auto image = prepare_image(drawn.image, free.plan());
  const double float_gib = double(free.plan_work(image).peak_bytes) / double(1 << 30);
  PredictorSettings tight;
  tight.memory_gib = 0.95 * float_gib;
  const Work work = Predictor({threshold_model()}, spacing_plan(1), tight).plan_work(image);
  EXPECT_EQ(work.votes, torch::kFloat16);
  EXPECT_LT(double(work.peak_bytes), 0.95 * float_gib * double(1 << 30));
  EXPECT_EQ(labels_within(0.95 * float_gib), labels_within(0));
  EXPECT_THROW(labels_within(0.1 * float_gib), Error);
}

/// Scores that depend on where the voxel lies in the patch along the first axis.
class Slope : public Threshold {
 public:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    const auto ramp = torch::linspace(-1, 1, x.size(2)).view({-1, 1, 1}).expand_as(x);
    return {torch::cat({torch::zeros_like(x), x + ramp, torch::full_like(x, -50)}, 1)};
  }
};

TEST(Predictor, MirroredViewsAverageOutTheSideOfThePatch) {
  Drawn drawn = drawn_on(ras_grid({16, 16, 16}, {1, 1, 1}), {{0, 0, 0}, {16, 16, 16}});
  Model model = threshold_model();
  model.network = std::make_shared<Slope>();
  Plan plan = spacing_plan(1);
  plan.intensity = "ct";
  plan.ct = {99.5, 1, -1000,
             1000};  // values are 10.5 and more: class 1 wins by far, or with the sign turned loses
  plan.mirror = {0};
  std::vector<float> p_first, p_last;
  const Predictor predictor({model}, plan, {});
  auto image = prepare_image(drawn.image, plan);
  const Work work = predictor.plan_work(image);
  std::fill(image.image.voxels.begin(), image.image.voxels.end(), 0.0F);
  predictor.labels(std::move(image), work, {}, [&](const torch::Tensor& p_KXY, int64_t) {
    p_first.push_back(p_KXY[1][0][0].item<float>());
    p_last.push_back(p_KXY[1][15][0].item<float>());
  });
  ASSERT_EQ(p_first.size(), 16U);
  for (size_t z = 0; z < 16; ++z) {
    EXPECT_NEAR(p_first[z], 0.5, 1e-6);
    EXPECT_NEAR(p_last[z], 0.5, 1e-6);
  }
}

/// Knows left from right by the place in the patch: class 1 in the first half of the first axis, 2 in the
/// second.
class KnowsSides : public Threshold {
 public:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    const auto first = (torch::arange(x.size(2)) < x.size(2) / 2).to(x.dtype()).view({-1, 1, 1}).expand_as(x);
    return {torch::cat({torch::zeros_like(x), 20 * first, 20 * (1 - first)}, 1)};
  }
};

TEST(Predictor, MirroredViewsExchangeTheSides) {
  Model model = threshold_model();
  model.network = std::make_shared<KnowsSides>();
  Plan plan = plan_of("none", 16, 16);
  plan.classes = {{"Left-Thalamus", {10}}, {"Right-Thalamus", {49}}};
  plan.mirror = {0, 1};
  for (const char* orientation : {"RAS", "ARS"}) {  // in the second the sides lie along another axis
    plan.orientation = orientation;
    const Drawn drawn = drawn_on(ras_grid({16, 16, 16}, {1, 1, 1}), {{0, 0, 0}, {16, 16, 16}});
    const Predictor predictor({model}, plan, {});
    auto image = prepare_image(drawn.image, plan);
    const Work work = predictor.plan_work(image);
    const bool sides_first = orientation[0] == 'R';
    const Volume<int32_t> classes = predictor.classes(image, work);
    // Where the network's halves are not the sides, its answers cancel: both classes have a half.
    EXPECT_EQ(classes.at(2, 8, 8), 1);
    EXPECT_EQ(classes.at(13, 8, 8) == 2, sides_first) << orientation;
  }
}

/// The second channel decides.
class SecondChannel : public Threshold {
 public:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    return Threshold::scores(x.narrow(1, 1, 1));
  }
};

TEST(Predictor, ChannelsOfOneCaseGoTogether) {
  const Geometry geometry = ras_grid({20, 20, 20}, {1, 1, 1});
  const Drawn other = drawn_on(geometry, {{0, 0, 0}, {20, 20, 20}}),
              drawn = drawn_on(geometry, {{2, 2, 2}, {15, 15, 15}});
  Model model = threshold_model({{"in_channels", 2}, {"classes", 3}});
  model.network = std::make_shared<SecondChannel>();
  TwoStage stages(Predictor({model}, plan_of("none", 16, 8), {}), std::nullopt);
  EXPECT_EQ(stages.run({other.image, drawn.image}).first.voxels, drawn.labels.voxels);
  EXPECT_THROW(stages.run({other.image}), Error);
  const Drawn elsewhere = drawn_on(ras_grid({20, 20, 21}, {1, 1, 1}), {{2, 2, 2}, {15, 15, 15}});
  EXPECT_THROW(stages.run({other.image, elsewhere.image}), Error);
}

TEST(Predictor, AVeryLargeVolumeIsPlannedWithoutOverflow) {
  PreparedImage image;  // its grids are all that planning looks at
  image.input = ras_grid({2000, 2000, 2000}, {0.1, 0.1, 0.1});
  image.image.geometry = image.input;
  const double voxels = 8e9;
  for (const char* conform : {"none", "millimetre"}) {
    Plan plan = plan_of(conform, 128, 64);
    plan.orientation = "RAS";
    plan.crop_to_brain = false;
    PredictorSettings settings;
    const Work work = Predictor({threshold_model()}, plan, settings).plan_work(image);
    EXPECT_EQ(work.patches, 31 * 31 * 31) << conform;
    // At least the image in floats and the labels, at most some hundred bytes a voxel.
    EXPECT_GT(double(work.peak_bytes), 8 * voxels) << conform;
    EXPECT_LT(double(work.peak_bytes), 200 * voxels) << conform;
    settings.memory_gib = 32;
    EXPECT_THROW(Predictor({threshold_model()}, plan, settings).plan_work(image), Error) << conform;
  }
}

TEST(Predictor, TheStatedMemoryHoldsWhatTheCallerKeeps) {
  const Drawn drawn = drawn_on(ras_grid({40, 40, 40}, {1, 1, 1}), {{5, 5, 5}, {30, 30, 30}});
  for (const Plan& plan : {plan_of("none", 16, 16), spacing_plan(1), plan_of("millimetre", 16, 16)}) {
    const Predictor predictor({threshold_model()}, plan, {});
    const auto image = prepare_image(drawn.image, plan);
    EXPECT_EQ(predictor.plan_work(image, 12345).peak_bytes, predictor.plan_work(image).peak_bytes + 12345);
  }
  // Two stages keep the file's image for the second, one stage does not.
  const auto stated = [&](bool two) {
    Plan later = plan_of("none", 16, 16);
    later.region = "labels";
    later.region_labels = {53};
    std::optional<Predictor> second;
    if (two) second.emplace(std::vector{threshold_model()}, later, PredictorSettings{});
    TwoStage stages(Predictor({threshold_model()}, plan_of("none", 16, 16), {}), std::move(second));
    Image image = drawn.image;
    const auto& bytes = std::get<std::vector<uint8_t>>(drawn.image.voxels);
    image.voxels = std::vector<double>(bytes.begin(), bytes.end());  // 8 bytes a voxel: 512 kB
    std::string line;
    stages.run({std::move(image)}, {}, {}, [&](const std::string& note) {
      if (line.empty()) line = note;
    });
    const size_t at = line.find("at most ");
    return std::stod(line.substr(at + 8));
  };
  EXPECT_GE(stated(true), stated(false)) << "in whole MB";
}

// A coarse grid of the network in a fine file: the labels of the file are the largest part.
TEST(Predictor, TheStatedMemoryHoldsTheLabelsOfTheFile) {
  PreparedImage image;
  image.input = ras_grid({400, 400, 400}, {0.1, 0.1, 0.1});
  image.image.geometry = ras_grid({40, 40, 40}, {1, 1, 1});
  Plan plan = plan_of("millimetre", 16, 16);
  plan.crop_to_brain = false;
  EXPECT_GE(Predictor({threshold_model()}, plan, {}).plan_work(image).peak_bytes, 4 * 400 * 400 * 400);
}

/// Fails at its first patch, as where memory is short for a moment.
class FailsOnce : public Threshold {
 public:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    require(++calls_ > 1, "the first patch fails");
    return Threshold::scores(x);
  }

 private:
  int calls_ = 0;
};

TEST(Predictor, ATrialOfThePrecisionThatFailsIsRepeatedWithTheNextCase) {
  if (!has_bf16_arithmetic()) GTEST_SKIP() << "no trial without bf16";
  const Drawn drawn = drawn_on(ras_grid({20, 20, 20}, {1, 1, 1}), {{2, 2, 2}, {15, 15, 15}});
  Model model = threshold_model();
  model.network = std::make_shared<FailsOnce>();
  PredictorSettings settings;
  settings.precision = Precision::automatic;
  Predictor predictor({model}, plan_of("none", 16, 8), settings);
  const auto image = prepare_image(drawn.image, predictor.plan());
  const Work work = predictor.plan_work(image);
  EXPECT_THROW(predictor.settle_precision(image, work), Error);
  EXPECT_FALSE(predictor.settle_precision(image, work).empty()) << "it is tried again";
}

}  // namespace
}  // namespace mambaseg
