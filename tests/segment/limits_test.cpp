// Each limit of a model card, on either side.
#include "mambaseg/segment/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "tests/metrics/blobs.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

Image filled_image(const Geometry& geometry, float value) {
  return {geometry, std::vector<float>(static_cast<size_t>(geometry.voxel_count()), value)};
}

TEST(Limits, AllZeroIsRefusedWithoutAnyLimit) {
  const Image image = filled_image(grid({4, 4, 4}), 0);
  EXPECT_THAT(error_of([&] { check_image(image, {}); }), HasSubstr("all zero"));
}

TEST(Limits, ManyVoxelsOfAirInHounsfieldNumbersAreCt) {
  ModelLimits limits;
  limits.ct_share = 0.1;
  Image image = filled_image(grid({10, 10, 1}), 40);
  auto& values = std::get<std::vector<float>>(image.voxels);
  for (size_t v = 0; v < 9; ++v) values[v] = -1000;
  EXPECT_THAT(check_image(image, limits), IsEmpty());
  values[9] = -1000;
  EXPECT_THAT(error_of([&] { check_image(image, limits); }), HasSubstr("CT"));
  for (size_t v = 0; v < 10; ++v) values[v] = -2000;  // filler outside of a round field of view is no air
  EXPECT_THAT(check_image(image, limits), IsEmpty());
  EXPECT_THAT(check_image(image, {}), IsEmpty());
}

TEST(Limits, ThickSlicesAreFlaggedAndThickerOnesRefused) {
  ModelLimits limits;
  limits.slice_mm = 2.5;
  limits.slice_mm_refused = 6;
  EXPECT_THAT(check_image(filled_image(grid({4, 4, 4}, {1, 2.5, 1}), 1), limits), IsEmpty());
  EXPECT_THAT(check_image(filled_image(grid({4, 4, 4}, {1, 3, 1}), 1), limits),
              ElementsAre(HasSubstr("thick slices: 3 mm")));
  EXPECT_THAT(error_of([&] {
                check_image(filled_image(grid({4, 4, 4}, {1, 1, 7}), 1), limits);
              }),
              HasSubstr("7 mm apart"));
}

TEST(Limits, TooLittleFoundIsNoHead) {
  ModelLimits limits;
  Volume<int32_t> labels(grid({10, 10, 10}, {2, 2, 2}));
  check_found(labels, limits);  // an image without a lesion
  limits.least_found_ml = 1;
  EXPECT_THAT(error_of([&] { check_found(labels, limits); }), HasSubstr("no head was found"));
  for (size_t v = 0; v < 125; ++v) labels.voxels[v] = 3;  // 1 ml
  check_found(labels, limits);
  limits.least_found_ml = 1.01;
  EXPECT_THAT(error_of([&] { check_found(labels, limits); }), HasSubstr("1 ml, expected at least 1.01 ml"));
}

TEST(Limits, StructuresThatTouchTheBorderAreCutOff) {
  ModelLimits limits;
  limits.border_mm2 = 8;
  const std::vector<StructureFinding> structures{{17, "Left-Hippocampus"}, {16, "Brain-Stem"}};
  const Image image = filled_image(grid({12, 12, 12}, {1, 1, 2}), 1);
  Volume<int32_t> labels(image.geometry);
  draw_ball(labels, {5, 5, 5}, 3, 17);
  EXPECT_THAT(check_labels(image, labels, structures, limits), IsEmpty());
  draw_ball(labels, {0, 5, 5}, 2, 17);  // 13 voxels of 1 x 2 mm on the face
  EXPECT_THAT(check_labels(image, labels, structures, limits),
              ElementsAre(HasSubstr("cut off at the border of the image: Left-Hippocampus (26 mm2)")));
  limits.border_mm2 = 26;
  EXPECT_THAT(check_labels(image, labels, structures, limits), IsEmpty());
  limits.border_mm2 = 8;
  for (int32_t& label : labels.voxels) label = label == 17 ? 16 : label;
  limits.border_free = {"Brain-Stem"};
  EXPECT_THAT(check_labels(image, labels, structures, limits), IsEmpty());
}

// Half of a head, the other half filled with zeros.
TEST(Limits, TheBorderIsThatOfWhatIsNotZero) {
  ModelLimits limits;
  limits.border_mm2 = 8;
  Image image = filled_image(grid({12, 12, 12}), 1);
  Volume<int32_t> labels(image.geometry);
  draw_ball(labels, {6, 5, 5}, 3, 17);
  auto& values = std::get<std::vector<float>>(image.voxels);
  for (int64_t v = 0; v < image.geometry.voxel_count(); ++v)
    if (v % 12 < 6) values[size_t(v)] = 0, labels.voxels[size_t(v)] = 0;
  EXPECT_THAT(check_labels(image, labels, {{17, "Left-Hippocampus"}}, limits),
              ElementsAre(HasSubstr("Left-Hippocampus (29 mm2)")));
}

TEST(Limits, ImplausibleVolumes) {
  ModelLimits limits;
  limits.volumes_ml = {{"Left-Hippocampus", {2, 6}}};
  const Image image = filled_image(grid({2, 2, 2}), 1);
  const Volume<int32_t> labels(image.geometry);
  const auto flags = [&](double mm3) {
    StructureFinding one{17, "Left-Hippocampus"};
    one.mm3 = mm3;
    return check_labels(image, labels, {one}, limits);
  };
  EXPECT_THAT(flags(4000), IsEmpty());
  EXPECT_THAT(flags(1990), ElementsAre(HasSubstr("Left-Hippocampus 1.99 ml")));
  EXPECT_THAT(flags(6500), ElementsAre(HasSubstr("Left-Hippocampus 6.5 ml")));
}

TEST(Limits, AnotherContrast) {
  ModelLimits limits;
  limits.contrast = {{{"Left-Lateral-Ventricle"}, {"Left-Thalamus"}, 0.7}};
  const std::vector<StructureFinding> structures{{4, "Left-Lateral-Ventricle"}, {10, "Left-Thalamus"}};
  Image image = filled_image(grid({6, 1, 1}), 0);
  Volume<int32_t> labels(image.geometry);
  labels.voxels = {4, 4, 4, 10, 10, 10};
  image.voxels = std::vector<float>{30, 40, 500, 10, 100, 110};
  EXPECT_THAT(check_labels(image, labels, structures, limits), IsEmpty());  // 40 over 100
  image.voxels = std::vector<float>{30, 140, 500, 10, 100, 110};
  EXPECT_THAT(check_labels(image, labels, structures, limits),
              ElementsAre(HasSubstr("is 1.4, expected at most 0.7")));
}

TEST(Limits, GreyPicturesAreRefusedAndBlueOnesFlagged) {
  ModelLimits limits;
  limits.least_chroma = 10;
  limits.least_warm = 0.5;
  const auto picture = [](std::vector<uint8_t> two_pixels, int channels) {
    return Picture{2, 1, channels, std::move(two_pixels)};
  };
  EXPECT_THAT(check_picture(picture({200, 150, 130, 90, 60, 50}, 3), limits), IsEmpty());
  EXPECT_THAT(check_picture(picture({200, 150, 130, 40, 60, 90}, 3), limits), IsEmpty());  // one half is warm
  EXPECT_THAT(check_picture(picture({100, 150, 130, 40, 60, 90}, 3), limits),
              ElementsAre(HasSubstr("does not look like skin: 0 %")));
  EXPECT_THAT(error_of([&] {
                check_picture(picture({100, 95, 92, 40, 40, 45}, 3), limits);
              }),
              HasSubstr("a grey picture (colours differ by 6.5"));
  EXPECT_THAT(error_of([&] { check_picture(picture({100, 200}, 1), limits); }), HasSubstr("a grey picture"));
  EXPECT_THAT(check_picture(picture({100, 200}, 1), {}), IsEmpty());
}

}  // namespace
}  // namespace mambaseg
