#include "mambaseg/infer/plane_models.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/core/random.h"
#include "mambaseg/infer/two_stage.h"
#include "mambaseg/nets/model/pixel_scale.h"

namespace mambaseg {
namespace {

/// A network of two dimensions that is a function of the slices that it sees.
class Seeing : public Network, public PixelScaled {
 public:
  using Function = std::function<torch::Tensor(const torch::Tensor& x_BCYX)>;
  explicit Seeing(Function function) : function_(std::move(function)) {}
  Extent size_multiples() const override { return {4, 4}; }
  torch::Tensor told() const { return factors_B2_; }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override { return {function_(x)}; }

 private:
  Function function_;
};

Model model_of(const std::string& plane, Seeing::Function function, int64_t classes = 3,
               int64_t channels = 3) {
  ModelInfo info;
  info.network = {{"in_channels", channels}, {"classes", classes}};
  info.plan = {{"plane", plane}, {"slices", 3}};
  return {std::make_shared<Seeing>(std::move(function)), info};
}

/// Class 0 below 0.3, class 1 up to 0.8, class 2 above, by the slice in the middle.
torch::Tensor thresholds(const torch::Tensor& x) {
  const auto middle = x.narrow(1, x.size(1) / 2, 1), first = 50 * (middle - 0.3);
  return torch::cat({torch::zeros_like(middle), first, first + 100 * (middle - 0.8)}, 1);
}

Plan slices_plan(const std::string& plane = "axial", const std::vector<int64_t>& patch = {32, 32}) {
  Plan plan;
  plan.conform = "none";
  plan.plane = plane;
  plan.slices = 3;
  plan.patch = patch;
  plan.step = 8;
  plan.classes = {{"grey", {17}}, {"white", {53}}};
  return plan;
}

Geometry ras_grid(const Index3& size, const Vector3& spacing) {
  Geometry out;
  out.size = size;
  out.voxel_to_ras_mm.matrix = {{{spacing[0], 0, 0}, {0, spacing[1], 0}, {0, 0, spacing[2]}}};
  return out;
}

/// Random voxels of three brightnesses, and the labels they stand for.
struct Drawn {
  Image image;
  Volume<int32_t> labels;
};
Drawn drawn_on(const Geometry& geometry) {
  Drawn out{{geometry, {}}, Volume<int32_t>(geometry)};
  std::vector<uint8_t> values(out.labels.voxels.size());
  Random random(5, 1);
  for (size_t v = 0; v < values.size(); ++v) {
    const int64_t kind = random.below(3);
    values[v] = kind == 0 ? 0 : kind == 1 ? 110 : 200;
    out.labels.voxels[v] = kind == 0 ? 0 : kind == 1 ? 17 : 53;
  }
  out.image.voxels = values;
  return out;
}

std::vector<int32_t> predicted(std::vector<Model> models, const Plan& plan, const Image& image) {
  return TwoStage(Predictor(std::move(models), plan, {}), std::nullopt).run({image}).first.voxels;
}

// Every voxel is judged alone, so labels come back voxel for voxel, whatever the planes, the orientation of
// the file and the size of the patch.
TEST(PlaneModels, LabelsComeBackWhereTheyWere) {
  const Geometry ras = ras_grid({17, 12, 9}, {1, 2, 3});
  for (const std::string orientation : {"RAS", "LIA", "PSR"}) {
    const Drawn drawn = drawn_on(permuted(ras, permutation_between("RAS", orientation)));
    for (const auto& planes : std::vector<std::vector<std::string>>{
             {"axial"}, {"coronal"}, {"sagittal"}, {"axial", "coronal", "sagittal"}})
      for (const auto& patch : std::vector<std::vector<int64_t>>{{32, 32}, {8, 8}, {12, 8}}) {
        std::vector<Model> models;
        for (const std::string& plane : planes) models.push_back(model_of(plane, thresholds));
        EXPECT_EQ(predicted(models, slices_plan(planes[0], patch), drawn.image), drawn.labels.voxels)
            << orientation << " " << planes[0] << " " << planes.size() << " " << patch[0];
      }
  }
}

TEST(PlaneModels, OverlappingPatchesOfASliceCountAsOne) {
  const Drawn drawn = drawn_on(ras_grid({17, 12, 9}, {1, 1, 1}));
  Plan plan = slices_plan("axial", {8, 8});
  plan.window = "gaussian";
  EXPECT_EQ(predicted({model_of("axial", thresholds), model_of("coronal", thresholds)}, plan, drawn.image),
            drawn.labels.voxels);
  plan.window = "fixed";
  plan.step = 3;
  EXPECT_EQ(predicted({model_of("axial", thresholds)}, plan, drawn.image), drawn.labels.voxels);
}

/// Everywhere the scores (0, a, b).
Seeing::Function constant(double a, double b) {
  return [=](const torch::Tensor& x) {
    const auto one = torch::ones_like(x.narrow(1, 0, 1));
    return torch::cat({0 * one, a * one, b * one}, 1);
  };
}

TEST(PlaneModels, ScoresAreSummedWithTheWeightsOfTheirPlanes) {
  const Drawn drawn = drawn_on(ras_grid({8, 8, 8}, {1, 1, 1}));
  const auto label = [&](double sagittal, std::vector<double> weights = {0.4, 0.4, 0.2}) {
    Plan plan = slices_plan();
    plan.plane_weights = std::move(weights);
    return predicted({model_of("axial", constant(2, 1)), model_of("sagittal", constant(1, sagittal))}, plan,
                     drawn.image)
        .front();
  };
  // 0.4 * (2 - 1) against 0.2 * (sagittal - 1)
  EXPECT_EQ(label(2.9), 17);
  EXPECT_EQ(label(3.1), 53);
  EXPECT_EQ(label(2.9, {0.3, 0.4, 0.3}), 53);
}

TEST(PlaneModels, NetworksOfOnePlaneAreAveraged) {
  const Drawn drawn = drawn_on(ras_grid({8, 8, 8}, {1, 1, 1}));
  const auto label = [&](double third) {
    return predicted({model_of("axial", constant(1, 0)), model_of("axial", constant(0, third)),
                      model_of("coronal", constant(2, 0))},
                     slices_plan(), drawn.image)
        .front();
  };
  // (1 + 0) / 2 + 2 against third / 2
  EXPECT_EQ(label(4.9), 17);
  EXPECT_EQ(label(5.1), 53);
}

TEST(PlaneModels, SagittalNetworksCountForBothSides) {
  Plan plan = slices_plan();
  plan.classes = {{"Left-A", {1}}, {"Right-A", {2}}, {"B", {3}}};
  const Drawn drawn = drawn_on(ras_grid({8, 8, 8}, {1, 1, 1}));
  const auto four = [](double a, double b, double c) {
    return [=](const torch::Tensor& x) {
      const auto one = torch::ones_like(x.narrow(1, 0, 1));
      return torch::cat({0 * one, a * one, b * one, c * one}, 1);
    };
  };
  // The sagittal network is sure that it is A, the coronal one knows which.
  const std::vector<Model> models{model_of("coronal", four(1, 2, 2.5), 4),
                                  model_of("sagittal", constant(9, 0))};
  EXPECT_EQ(predicted(models, plan, drawn.image).front(), 2);
  EXPECT_THROW(predicted({model_of("sagittal", four(1, 1, 1), 4)}, plan, drawn.image), UsageError);
  EXPECT_THROW(predicted({model_of("coronal", constant(1, 1), 3)}, plan, drawn.image), UsageError);
}

TEST(PlaneModels, NeighboursAreThoseOfTheVolumeAndTheEndsAreRepeated) {
  // Class 1 where the slice before is brighter, 2 where the slice behind is.
  const auto slopes = [](const torch::Tensor& x) {
    const auto before = x.narrow(1, 0, 1), middle = x.narrow(1, 1, 1), behind = x.narrow(1, 2, 1);
    return torch::cat({torch::full_like(middle, 0.01), before - middle, behind - middle}, 1);
  };
  Geometry lia = permuted(ras_grid({6, 5, 4}, {1, 1, 1}), permutation_between("RAS", "LIA"));
  Image image{lia, {}};
  std::vector<uint8_t> values(static_cast<size_t>(lia.voxel_count()));
  for (size_t v = 0; v < values.size(); ++v)  // rising along the second axis (I), slices of which are axial
    values[v] = static_cast<uint8_t>(
        50 + 40 * (v / static_cast<size_t>(lia.size[0]) % static_cast<size_t>(lia.size[1])));
  image.voxels = values;
  Plan plan = slices_plan("axial");
  plan.intensity = "unit";
  plan.crop_to_brain = false;
  const auto labels = predicted({model_of("axial", slopes)}, plan, image);
  for (size_t v = 0; v < labels.size(); ++v) {
    const auto j = static_cast<int64_t>(v) / lia.size[0] % lia.size[1];
    ASSERT_EQ(labels[v], j + 1 == lia.size[1] ? 0 : 53) << j;  // behind the last there is nothing brighter
  }
  const auto flat = predicted(
      {model_of("coronal", slopes)},
      [&] {
        Plan other = plan;
        other.plane = "coronal";
        return other;
      }(),
      image);
  EXPECT_EQ(std::set<int32_t>(flat.begin(), flat.end()), std::set<int32_t>{0});
}

TEST(PlaneModels, AreToldTheResolution) {
  const Drawn drawn = drawn_on(ras_grid({8, 8, 8}, {0.8, 2, 0.5}));
  std::vector<Model> models{model_of("axial", constant(1, 0)), model_of("coronal", constant(1, 0)),
                            model_of("sagittal", constant(1, 0))};
  predicted(models, slices_plan(), drawn.image);
  const auto told = [&](size_t m) { return dynamic_cast<const Seeing&>(*models[m].network).told()[0]; };
  // Of rows and columns: front-back 2 mm, left-right 0.8 mm, head-feet 0.5 mm.
  EXPECT_TRUE(torch::allclose(told(0), torch::tensor({0.5F, 1.25F})));
  EXPECT_TRUE(torch::allclose(told(1), torch::tensor({1.25F, 2.0F})));
  EXPECT_TRUE(torch::allclose(told(2), torch::tensor({0.5F, 2.0F})));
}

TEST(PlaneModels, TheSliceInTheMiddleIsThatOfTheVolume) {
  SlidingWindow window;
  window.patch = {32, 32, 1};
  window.step = 32;
  const Plan plan = slices_plan("axial");
  const PlaneModels models({model_of("axial", thresholds)}, plan, window);
  const auto volume = torch::rand({1, 7, 9, 12});
  const auto middle =
      models.middle(volume, {1, 1, 1}, Precision::fp32).argmax(0);  // rows k, columns i, zeros behind
  const auto expected = (volume[0].select(1, 4) > 0.3).to(torch::kInt64) + (volume[0].select(1, 4) > 0.8);
  EXPECT_TRUE(middle.narrow(0, 0, 12).narrow(1, 0, 7).equal(expected.t()));
  EXPECT_EQ(middle.narrow(0, 12, 20).sum().item<int64_t>(), 0);
}

TEST(PlaneModels, WorkIsKnownBefore) {
  const Drawn drawn = drawn_on(ras_grid({16, 12, 8}, {1, 1, 1}));
  Plan plan = slices_plan("axial");
  plan.crop_to_brain = false;
  const Predictor predictor({model_of("axial", thresholds), model_of("sagittal", thresholds)}, plan, {});
  const Work work = predictor.plan_work(prepare_image(drawn.image, predictor.plan()));
  EXPECT_EQ(work.patches, 8 + 16);
  EXPECT_GT(work.peak_bytes, 3 * 16 * 12 * 8 * 4);
  EXPECT_NE(describe(work, predictor.plan(), 8).find("24 patches of 32x32 of axial and sagittal slices"),
            std::string::npos)
      << describe(work, predictor.plan(), 8);
  ModelInfo info;
  info.network = {{"in_channels", 14}};
  info.plan = {{"plane", "axial"}, {"slices", 7}};
  EXPECT_EQ(image_channels(info), 2);
}

}  // namespace
}  // namespace mambaseg
