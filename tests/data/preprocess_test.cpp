#include "mambaseg/data/preprocess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/data/conform.h"
#include "mambaseg/data/label_tables.h"

namespace mambaseg {
namespace {

/// A grid of `spacing` mm whose axes follow `orientation`, its middle at `centre_mm`, turned by `angle` about
/// z.
Geometry grid_of(const Index3& size, const Vector3& spacing, const std::string& orientation, double angle = 0,
                 const Vector3& centre_mm = {0, 0, 0}) {
  Geometry ras;
  const AxisPermutation p = permutation_between("RAS", orientation);
  for (int axis = 0; axis < 3; ++axis) {
    ras.size[p.axis[axis]] = size[axis];
    ras.voxel_to_ras_mm.matrix[p.axis[axis]][p.axis[axis]] = spacing[axis];
  }
  Affine turn;
  turn.matrix[0] = {std::cos(angle), -std::sin(angle), 0};
  turn.matrix[1] = {std::sin(angle), std::cos(angle), 0};
  Geometry out = permuted(ras, p);
  out.voxel_to_ras_mm = compose(turn, out.voxel_to_ras_mm);
  const Vector3 middle =
      out.voxel_to_ras_mm({double(size[0] - 1) / 2, double(size[1] - 1) / 2, double(size[2] - 1) / 2});
  for (int axis = 0; axis < 3; ++axis) out.voxel_to_ras_mm.offset[axis] += centre_mm[axis] - middle[axis];
  return out;
}

/// Bright ellipsoid with a darker one inside, in mm around `centre`, on any grid.
Image head_on(const Geometry& geometry, double radius_mm, const Vector3& centre = {0, 0, 0}) {
  Volume<float> out(geometry);
  for (int64_t k = 0; k < geometry.size[2]; ++k)
    for (int64_t j = 0; j < geometry.size[1]; ++j)
      for (int64_t i = 0; i < geometry.size[0]; ++i) {
        const Vector3 at = geometry.voxel_to_ras_mm({double(i), double(j), double(k)});
        double squares = 0;
        for (int axis = 0; axis < 3; ++axis) squares += (at[axis] - centre[axis]) * (at[axis] - centre[axis]);
        const double r = std::sqrt(squares) / radius_mm;
        out.at(i, j, k) = r < 0.5 ? 100.0F : r < 1 ? 180.0F : 0.0F;
      }
  return {geometry, out.voxels};
}

float at_world(const Volume<float>& volume, const Vector3& mm) {
  const Vector3 v = volume.geometry.voxel_to_ras_mm.inverse()(mm);
  return volume.at(std::lround(v[0]), std::lround(v[1]), std::lround(v[2]));
}

TEST(Conform, GridIsLiaOneMillimetreAroundTheMiddle) {
  const Geometry in = grid_of({40, 31, 22}, {0.9, 1.2, 3}, "RAS", 0.2, {5, -7, 11});
  const Geometry out = freesurfer_grid(in);
  EXPECT_EQ(out.orientation(), "LIA");
  EXPECT_TRUE(is_conformed(out));
  const Vector3 at = out.voxel_to_ras_mm({128, 128, 128});
  const Vector3 centre = in.voxel_to_ras_mm({20, 15.5, 11});
  for (int axis = 0; axis < 3; ++axis) EXPECT_NEAR(at[axis], centre[axis], 1e-4);
}

// Spec 1.9 pitfall (i): one fitting axis does not make an image conformed.
TEST(Conform, PitfallIEveryAxisMustFit) {
  const Geometry good = freesurfer_grid(grid_of({9, 9, 9}, {1, 1, 1}, "RAS"));
  for (int axis = 0; axis < 3; ++axis) {
    Geometry bad = good;
    for (int row = 0; row < 3; ++row) bad.voxel_to_ras_mm.matrix[row][axis] *= 1.5;
    EXPECT_FALSE(is_conformed(bad));
  }
  EXPECT_FALSE(is_conformed(permuted(good, permutation_between("LIA", "RAS"))));
  Geometry small = good;
  small.size[1] = 255;
  EXPECT_FALSE(is_conformed(small));
}

TEST(Conform, StructuresStayWhereTheyAreOnAnyGrid) {
  const Vector3 brain{12, -9, 5};
  for (const auto& [name, geometry] :
       {std::pair{"isotropic RAS", grid_of({90, 90, 90}, {1, 1, 1}, "RAS")},
        std::pair{"anisotropic PIR", grid_of({80, 60, 28}, {1, 1.5, 3}, "PIR")},
        std::pair{"rotated LPS", grid_of({70, 70, 70}, {1.3, 1.3, 1.3}, "LPS", 0.4)},
        std::pair{"conformed", freesurfer_grid(grid_of({10, 10, 10}, {1, 1, 1}, "RAS"))}}) {
    const PreparedImage out = prepare_image(head_on(geometry, 30, brain), Plan{});
    EXPECT_TRUE(is_conformed(out.image.geometry)) << name;
    EXPECT_EQ(out.input, geometry) << name;
    EXPECT_NEAR(at_world(out.image, brain), 100.0F / 180, 0.02) << name;
    EXPECT_GT(at_world(out.image, {brain[0] + 22, brain[1], brain[2]}), 0.98) << name;
    EXPECT_EQ(at_world(out.image, {brain[0] - 40, brain[1], brain[2]}), 0) << name;
  }
}

TEST(Conform, ConformedInputIsNotInterpolated) {
  Image in = head_on(freesurfer_grid(grid_of({10, 10, 10}, {1, 1, 1}, "RAS")), 20);
  const auto& raw = std::get<std::vector<float>>(in.voxels);
  const auto out = prepare_image(in, Plan{}).image;
  ASSERT_EQ(out.geometry, in.geometry);
  for (size_t v = 0; v < raw.size(); ++v) ASSERT_EQ(raw[v] == 0, out.voxels[v] == 0);
}

TEST(Conform, MillimetreGridTurnsAndKeepsTheExtent) {
  const Geometry in = grid_of({40, 30, 20}, {1, 1.5, 3}, "PIR", 0.3);
  const Geometry out = millimetre_grid(in, "LIA");
  EXPECT_EQ(out.orientation(), "LIA");
  EXPECT_EQ(out.size, (Index3{60, 45, 40}));
  for (const double s : out.spacing_mm()) EXPECT_NEAR(s, 1, 1e-9);
}

// Spec 1.9 pitfall (b): cubic interpolation undershoots at edges; background stays 0 all the same.
TEST(Prepare, PitfallBBackgroundStaysZeroUnderCubicInterpolation) {
  const Geometry geometry = grid_of({24, 24, 24}, {2.3, 2.3, 2.3}, "RAS", 0.3);
  for (const char* conform : {"freesurfer", "millimetre"}) {
    Plan plan;
    plan.conform = conform;
    plan.conform_order = 3;
    const auto out = prepare_image(head_on(geometry, 15), plan).image;
    EXPECT_EQ(out.voxels.front(), 0) << conform;
    EXPECT_EQ(at_world(out, {0, 0, 24}), 0) << conform;
    EXPECT_LE(*std::max_element(out.voxels.begin(), out.voxels.end()), 1) << conform;
    EXPECT_GE(*std::min_element(out.voxels.begin(), out.voxels.end()), 0) << conform;
  }
}

TEST(Prepare, NegativeValuesDoNotLiftTheBackground) {
  Image in = head_on(grid_of({20, 20, 20}, {1, 1, 1}, "RAS"), 8);
  auto& values = std::get<std::vector<float>>(in.voxels);
  for (float& v : values)
    if (v == 100) v = -50;
  Plan plan;
  plan.conform = "none";
  EXPECT_EQ(prepare_image(in, plan).image.voxels.front(), 0);
}

TEST(Prepare, SecondPassOnlyWhereConformHasScaled) {
  Image in = head_on(grid_of({60, 60, 60}, {1, 1, 1}, "RAS"), 25);
  auto& values = std::get<std::vector<float>>(in.voxels);
  for (size_t v = 0; v < values.size(); ++v) values[v] *= 1 + 0.001F * float(v % 300);
  Plan once, twice;
  twice.rescale_passes = 2;
  EXPECT_NE(prepare_image(in, once).image.voxels, prepare_image(in, twice).image.voxels);
  in.voxels = std::vector<uint8_t>(values.begin(), values.end());
  EXPECT_EQ(prepare_image(in, once).image.voxels, prepare_image(in, twice).image.voxels);
}

TEST(Prepare, RefusesWhatIsNoImage) {
  const Geometry geometry = grid_of({8, 8, 8}, {1, 1, 1}, "RAS");
  Image zeros{geometry, std::vector<int16_t>(512, 0)};
  EXPECT_THROW(prepare_image(zeros, Plan{}), Error);
  Image broken = head_on(geometry, 3);
  std::get<std::vector<float>>(broken.voxels)[7] = std::nanf("");
  EXPECT_THROW(prepare_image(broken, Plan{}), Error);
  Image short_of_voxels{geometry, std::vector<int16_t>(5, 1)};
  EXPECT_THROW(prepare_image(short_of_voxels, Plan{}), Error);
}

TEST(Prepare, WarnsWhenTheHeadIsLargerThanTheGrid) {
  int warned = 0;
  prepare_image(head_on(grid_of({80, 40, 40}, {4, 4, 4}, "RAS"), 150), Plan{},
                [&](const std::string&) { ++warned; });
  EXPECT_EQ(warned, 1);
  prepare_image(head_on(grid_of({80, 40, 40}, {4, 4, 4}, "RAS"), 60), Plan{},
                [&](const std::string&) { ++warned; });
  EXPECT_EQ(warned, 1);
}

TEST(Prepare, ZScoreKeepsBackground) {
  Plan plan;
  plan.conform = "none";
  plan.intensity = "zscore";
  const auto out = prepare_image(head_on(grid_of({20, 20, 20}, {1, 1, 1}, "PSL"), 8), plan).image;
  EXPECT_EQ(out.geometry.orientation(), "LIA");
  EXPECT_EQ(out.voxels.front(), 0);
  EXPECT_LT(at_world(out, {0, 0, 0}), 0);
}

TEST(Plan, RefusesSettingsThatDoNotFit) {
  const auto refused = [](auto&& change) {
    Plan plan;
    change(plan);
    EXPECT_THROW(check_plan(plan), UsageError);
  };
  refused([](Plan& p) { p.patch = {96, 96}; });
  refused([](Plan& p) { p.step = 97; });
  refused([](Plan& p) { p.conform_order = 2; });
  refused([](Plan& p) { p.orientation = "RAS"; });
  refused([](Plan& p) { p.region = "labels"; });
  refused([](Plan& p) { p.classes = {{"nothing", {}}}; });
  EXPECT_NO_THROW(check_plan(Plan{}));
}

TEST(Labels, GoToClassesAndBack) {
  Plan plan;
  plan.classes = freesurfer_subcortical_classes();
  const Geometry geometry = grid_of({5, 4, 3}, {1, 1, 1}, "RAS");
  Volume<int32_t> labels(geometry);
  labels.at(1, 2, 0) = 17;
  labels.at(4, 3, 2) = 77;
  labels.at(0, 0, 0) = 2;  // in no class
  const Geometry grid = permuted(geometry, permutation_between("RAS", "LIA"));
  const auto classes = labels_to_classes(labels, grid, plan);
  EXPECT_EQ(*std::max_element(classes.voxels.begin(), classes.voxels.end()), 31);
  Volume<int32_t> predicted(classes.geometry);
  predicted.voxels.assign(classes.voxels.begin(), classes.voxels.end());
  const auto back = classes_to_labels(predicted, geometry, plan);
  labels.at(0, 0, 0) = 0;
  EXPECT_EQ(back.voxels, labels.voxels);
  plan.unknown_labels = "error";
  labels.at(0, 0, 0) = 2;
  EXPECT_THROW(labels_to_classes(labels, grid, plan), Error);
  Volume<int32_t> beyond(geometry, 40);
  EXPECT_THROW(classes_to_labels(beyond, geometry, plan), Error);
}

Plan spacing_plan(const std::vector<double>& spacing, const std::string& intensity) {
  Plan plan;
  plan.conform = "spacing";
  plan.spacing = spacing;
  plan.orientation = "RAS";
  plan.intensity = intensity;
  plan.classes = {{"dark", {100}}, {"bright", {180}}};
  return plan;
}

TEST(Spacing, ImageAndLabelsLieOnOneGridAndBackgroundStaysZero) {
  for (const char* orientation : {"RAS", "PIL"}) {
    const Image image = head_on(grid_of({40, 36, 30}, {1, 1.2, 1.5}, orientation, 0.3), 14);
    const Plan plan = spacing_plan({1.3, 1.3, 1.3}, "zscore");
    const PreparedImage prepared = prepare_image(image, plan);
    const Geometry& grid = prepared.image.geometry;
    EXPECT_EQ(grid, network_grid(image.geometry, plan));
    EXPECT_EQ(grid.orientation(), "RAS");
    for (const double edge : grid.spacing_mm())
      EXPECT_NEAR(edge, 1.3, 0.05);  // whole voxels over the same box
    Volume<int32_t> labels(image.geometry);
    const auto& values = std::get<std::vector<float>>(image.voxels);
    labels.voxels.assign(values.begin(), values.end());
    const auto classes = labels_to_classes(labels, grid, plan);
    EXPECT_TRUE(same_grid(classes.geometry, grid));
    int64_t same = 0, head = 0;
    for (size_t v = 0; v < classes.voxels.size(); ++v) {
      const float value = prepared.image.voxels[v];
      EXPECT_EQ(value == 0, classes.voxels[v] == 0) << v;  // mask and labels follow one rule
      head += classes.voxels[v] != 0;
      same += classes.voxels[v] != 0 && (value > 0) == (classes.voxels[v] == 2);
    }
    EXPECT_GT(head, 3000);
    EXPECT_GT(double(same) / double(head), 0.93);
  }
}

TEST(Spacing, LabelsOnAnotherGridAreRefused) {
  const Image image = head_on(grid_of({20, 20, 20}, {1, 1, 1}, "RAS"), 8);
  const Plan plan = spacing_plan({1, 1, 2}, "zscore_all");
  const Volume<int32_t> labels(grid_of({20, 20, 21}, {1, 1, 1}, "RAS"));
  EXPECT_THROW(labels_to_classes(labels, network_grid(image.geometry, plan), plan), Error);
}

TEST(Spacing, IntensitiesFollowThePlan) {
  const Image image = head_on(grid_of({20, 20, 20}, {1, 1, 1}, "RAS"), 8);
  Plan plan = spacing_plan({1, 1, 1}, "unit");
  EXPECT_EQ(at_world(prepare_image(image, plan).image, {0, 0, 0}), 100.0F / 180);
  plan.intensity = "ct";
  plan.ct = {50, 10, 0, 150};
  EXPECT_FLOAT_EQ(at_world(prepare_image(image, plan).image, {0, 0, 0}), 5);
  EXPECT_FLOAT_EQ(at_world(prepare_image(image, plan).image, {6, 0, 0}), 10);  // 180 is lowered to 150
  EXPECT_FLOAT_EQ(at_world(prepare_image(image, plan).image, {9, 0, 0}), -5);
  plan.spacing = {1, 1};
  EXPECT_THROW(check_plan(plan), UsageError);
}

TEST(HeadBox, HoldsTheHeadsOfAllChannelsAndAMarginInsideTheGrid) {
  PreparedImage image;
  Geometry grid;
  grid.size = {12, 10, 8};
  image.image = Volume<float>(grid);
  image.further = {Volume<float>(grid)};
  image.image.at(4, 4, 4) = 1;
  image.further[0].at(6, 1, 4) = -1;
  Plan plan;
  EXPECT_EQ(head_box(image, plan), (Box{{4, 1, 4}, {3, 4, 1}}));
  plan.crop_margin = 2;
  EXPECT_EQ(head_box(image, plan), (Box{{2, 0, 2}, {7, 7, 5}}));
  EXPECT_EQ(image_tensor(image).sizes(), (std::vector<int64_t>{2, 12, 10, 8}));
}

TEST(PrepareImage, WholeNumbersBeyond32BitsAreRescaledAsSmallOnes) {
  const Geometry geometry = grid_of({20, 22, 24}, {1, 1, 1}, "LIA");
  Plan plan;
  plan.conform = "spacing";
  const auto prepared = [&](double factor) {
    Image image = head_on(geometry, 9);
    std::vector<int64_t> values;
    for (const float v : std::get<std::vector<float>>(image.voxels)) values.push_back(int64_t(v * factor));
    image.voxels = values;
    return prepare_image(image, plan).image.voxels;
  };
  const auto small = prepared(1), large = prepared(double(1 << 26));
  EXPECT_EQ(*std::max_element(large.begin(), large.end()), 1);
  for (size_t v = 0; v < small.size(); ++v) ASSERT_NEAR(large[v], small[v], 1.001 / 255) << v;
}

}  // namespace
}  // namespace mambaseg
