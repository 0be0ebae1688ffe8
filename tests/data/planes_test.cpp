#include "mambaseg/data/planes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/data/preprocess.h"

namespace mambaseg {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;

Plan slices_plan(const std::string& plane) {
  Plan plan;
  plan.plane = plane;
  plan.patch = {8, 8};
  plan.step = 8;
  plan.classes = {{"Left-Thalamus", {10}}, {"CSF", {24}}, {"Right-Thalamus", {49}}};
  return plan;
}

std::array<int, 3> axes_of(const std::string& plane, const std::string& orientation) {
  const PlaneAxes axes = plane_axes(plane, orientation);
  return {axes.row, axes.column, axes.slice};
}

// FastSurfer's transform_axial moves the axes (0, 1, 2) of an LIA array to (1, 2, 0), transform_sagittal to
// (2, 1, 0), and coronal slices stay.
TEST(PlaneAxes, AreFastSurfersInLia) {
  EXPECT_THAT(axes_of("axial", "LIA"), ElementsAre(2, 0, 1));
  EXPECT_THAT(axes_of("coronal", "LIA"), ElementsAre(0, 1, 2));
  EXPECT_THAT(axes_of("sagittal", "LIA"), ElementsAre(2, 1, 0));
}

TEST(PlaneAxes, FollowTheBodyInOtherOrientations) {
  EXPECT_THAT(axes_of("axial", "RAS"), ElementsAre(1, 0, 2));
  EXPECT_THAT(axes_of("coronal", "RAS"), ElementsAre(0, 2, 1));
  EXPECT_THAT(axes_of("sagittal", "PSR"), ElementsAre(0, 1, 2));
  EXPECT_THROW(plane_axes("oblique", "RAS"), UsageError);
}

TEST(Slices, GoThereAndBack) {
  const auto volume = torch::arange(2 * 3 * 4 * 5).view({2, 3, 4, 5});
  for (const char* plane : {"axial", "coronal", "sagittal"}) {
    const PlaneAxes axes = plane_axes(plane, "LIA");
    const auto slices = slices_of(volume, axes);
    EXPECT_EQ(slices.size(3), volume.size(1 + axes.slice)) << plane;
    EXPECT_EQ(slices.size(1), volume.size(1 + axes.row)) << plane;
    EXPECT_TRUE(volume_of(slices, axes).equal(volume)) << plane;
  }
  const auto axial = slices_of(volume[0], plane_axes("axial", "LIA"));
  EXPECT_TRUE(axial.select(2, 1).equal(volume[0].select(1, 1).t()));  // rows run along the last axis
}

TEST(Slices, RepeatTheFirstAndTheLast) {
  const auto slices = torch::arange(4).view({1, 1, 1, 4});
  const auto row = [&](int64_t first, int64_t count) {
    return repeated_slices(slices, first, count).view({-1});
  };
  EXPECT_TRUE(row(-3, 7).equal(torch::tensor({0, 0, 0, 0, 1, 2, 3})));
  EXPECT_TRUE(row(2, 5).equal(torch::tensor({2, 3, 3, 3, 3})));
  const auto two = torch::stack({torch::arange(3), torch::arange(3) + 10}).view({2, 1, 1, 3});
  EXPECT_TRUE(slices_as_channels(two).view({-1}).equal(torch::tensor({0, 1, 2, 10, 11, 12})));
}

TEST(ScaleFactors, AreThoseOfRowsAndColumns) {
  Plan plan = slices_plan("axial");
  plan.base_resolution = 1;
  const Vector3 mm{0.8, 2, 0.5};
  EXPECT_THAT(scale_factors(plan, plane_axes("axial", "LIA"), mm), ElementsAre(DoubleEq(2), DoubleEq(1.25)));
  EXPECT_THAT(scale_factors(plan, plane_axes("coronal", "LIA"), mm),
              ElementsAre(DoubleEq(1.25), DoubleEq(0.5)));
  EXPECT_THAT(scale_factors(plan, plane_axes("sagittal", "LIA"), mm),
              ElementsAre(DoubleEq(2), DoubleEq(0.5)));
}

TEST(MergedClasses, BelongToSagittalSlicesOfStructuresWithSides) {
  EXPECT_THAT(merged_classes(slices_plan("sagittal")), ElementsAre(0, 2, 1, 2));
  EXPECT_THAT(merged_classes(slices_plan("axial")), ElementsAre());
  Plan plan = slices_plan("sagittal");
  plan.merge_sides = false;
  EXPECT_THAT(merged_classes(plan), ElementsAre());
  plan = slices_plan("sagittal");
  plan.merged_classes = {1, 2, 1};
  EXPECT_THAT(merged_classes(plan), ElementsAre(0, 1, 2, 1));
  plan.merged_classes.clear();
  plan.classes = {{"liver", {1}}};
  EXPECT_THAT(merged_classes(plan), ElementsAre());
}

std::string refusal(const Plan& plan) {
  try {
    check_plan(plan);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(CheckPlanes, RefusesWhatSlicesCannotHave) {
  EXPECT_EQ(refusal(slices_plan("sagittal")), "");
  Plan plan = slices_plan("axial");
  plan.patch = {8, 8, 8};
  EXPECT_THAT(refusal(plan), HasSubstr("patch needs 2 edges of slices, got 3"));
  plan = slices_plan("axial");
  plan.slices = 4;
  EXPECT_THAT(refusal(plan), HasSubstr("slices: expected an odd number, got 4"));
  plan = slices_plan("axial");
  plan.mirror = {0};
  EXPECT_THAT(refusal(plan), HasSubstr("not mirrored"));
  plan = slices_plan("sagittal");
  plan.plane_weights = {1, 1, 0};
  EXPECT_THAT(refusal(plan), HasSubstr("plane_weights: that of sagittal slices is 0"));
  plan = slices_plan("sagittal");
  plan.merged_classes = {1, 3, 1};
  EXPECT_THAT(refusal(plan), HasSubstr("without gaps"));
  plan.merged_classes = {1, 2};
  EXPECT_THAT(refusal(plan), HasSubstr("one number for each of 3 classes, got 2"));
  plan = slices_plan("sagittal");
  plan.regions_class_order = {10, 24, 49};
  EXPECT_THAT(refusal(plan), HasSubstr("merge_sides = false"));
}

}  // namespace
}  // namespace mambaseg
