#include "mambaseg/tasks/volumes/training_slices.h"

#include <gtest/gtest.h>

#include <set>

#include "mambaseg/tasks/volumes/slice_by_slice.h"

namespace mambaseg {
namespace {

/// A case whose image values tell the place (i * 100 + j * 10 + k + 1): no two axes are alike.
PreparedCase drawn_case(const Index3& size = {4, 6, 5}) {
  PreparedCase one;
  one.id = "drawn";
  const auto along = [](int64_t edge) { return torch::arange(edge, torch::kFloat32); };
  one.image_CIJK = (along(size[0]).view({-1, 1, 1}) * 100 + along(size[1]).view({1, -1, 1}) * 10 +
                    along(size[2]).view({1, 1, -1}) + 1)
                       .unsqueeze(0);
  one.classes_IJK = torch::zeros({size[0], size[1], size[2]}, torch::kUInt8);
  return one;
}

Plan slices_plan(const std::string& plane, const std::vector<int64_t>& patch) {
  Plan plan;
  plan.plane = plane;
  plan.slices = 3;
  plan.patch = patch;
  plan.classes = {{"Left-A", {1}}, {"Right-A", {2}}};
  return plan;
}

SamplingSettings all_slices() {
  SamplingSettings sampling;
  sampling.positions = 100;
  return sampling;
}

TEST(SliceSampler, ShowsEverySliceWithItsNeighbours) {
  const PreparedCase one = drawn_case();
  // In LIA: axial slices along j with rows k and columns i, and so on.
  const struct {
    const char* plane;
    int64_t count;
    std::function<float(int64_t row, int64_t column, int64_t slice)> value;
  } planes[] = {
      {"axial", 6, [](int64_t r, int64_t c, int64_t s) { return float(c * 100 + s * 10 + r + 1); }},
      {"coronal", 5, [](int64_t r, int64_t c, int64_t s) { return float(r * 100 + c * 10 + s + 1); }},
      {"sagittal", 4, [](int64_t r, int64_t c, int64_t s) { return float(s * 100 + c * 10 + r + 1); }}};
  for (const auto& [plane, count, value] : planes) {
    SCOPED_TRACE(plane);
    const Plan plan = slices_plan(plane, {6, 6});
    const SliceSampler sampler(one, all_slices(), {}, plan);
    ASSERT_EQ(sampler.count(), count);
    const PlaneAxes axes = plane_axes(plane, "LIA");
    const Index3 size = one.size();
    for (int64_t s = 0; s < count; ++s) {
      const Sample drawn = sampler.draw(s, Random(1));
      ASSERT_EQ(drawn.image.sizes(), (std::vector<int64_t>{3, 6, 6}));
      ASSERT_EQ(drawn.classes.sizes(), (std::vector<int64_t>{6, 6}));
      for (int64_t n = 0; n < 3; ++n)
        for (int64_t r = 0; r < 6; ++r)
          for (int64_t c = 0; c < 6; ++c) {
            const int64_t seen = std::clamp<int64_t>(s + n - 1, 0, count - 1);  // the ends are repeated
            const bool inside = r < size[axes.row] && c < size[axes.column];
            ASSERT_EQ(drawn.image[n][r][c].item<float>(), inside ? value(r, c, seen) : 0.0F)
                << s << " " << n << " " << r << " " << c;
          }
    }
  }
}

TEST(SliceSampler, GivesTheClassesOfTheMiddleSlice) {
  PreparedCase one = drawn_case();
  one.classes_IJK[1][2][3] = 1;
  one.classes_IJK[2][5][0] = 2;
  const SliceSampler coronal(one, all_slices(), {}, slices_plan("coronal", {4, 6}));
  EXPECT_TRUE(coronal.draw(3, Random(1)).classes.equal(one.classes_IJK.select(2, 3).to(torch::kInt64)));
  // Sagittal slices do not tell the sides apart.
  const SliceSampler sagittal(one, all_slices(), {}, slices_plan("sagittal", {5, 6}));
  EXPECT_EQ(sagittal.draw(1, Random(1)).classes[3][2].item<int64_t>(), 1);
  EXPECT_EQ(sagittal.draw(2, Random(1)).classes[0][5].item<int64_t>(), 1);
}

TEST(SliceSampler, CutsLargerSlicesAndFindsTheForeground) {
  PreparedCase one = drawn_case({9, 30, 40});
  one.classes_IJK[4][20][33] = 2;
  SamplingSettings sampling;
  sampling.kind = "random";
  sampling.foreground = 1;
  sampling.patches_per_case = 4;
  const SliceSampler sampler(one, sampling, {}, slices_plan("axial", {8, 8}));
  EXPECT_EQ(sampler.count(), 4);
  for (int64_t i = 0; i < 4; ++i) {
    const Sample drawn = sampler.draw(i, Random(7, static_cast<uint64_t>(i)));
    EXPECT_EQ(drawn.classes.sum().item<int64_t>(), 2) << i;
    EXPECT_TRUE((drawn.image[1] * drawn.classes.ne(0)).max().item<float>() == 4 * 100 + 20 * 10 + 33 + 1);
  }
}

TEST(SliceSampler, FlipsMoveAlongTheAxesOfTheVolume) {
  PreparedCase one = drawn_case({4, 4, 4});
  one.classes_IJK[0].fill_(1);
  one.classes_IJK[3].fill_(2);
  AugmentSettings augment;
  augment.flip = {1, 0, 0};  // left and right
  augment.swap_classes = {{"Left-A", "Right-A"}};
  const SliceSampler coronal(one, all_slices(), augment, slices_plan("coronal", {4, 4}));
  const Sample turned = coronal.draw(1, Random(1));
  EXPECT_TRUE(turned.image[1].equal(torch::flip(one.image_CIJK[0].select(2, 1), {0})));
  EXPECT_EQ(turned.classes[0][0].item<int64_t>(), 1);  // the other side, now called this one
  EXPECT_EQ(turned.classes[3][0].item<int64_t>(), 2);
  // Of sagittal slices left and right are the order of the neighbours.
  const SliceSampler sagittal(one, all_slices(), augment, slices_plan("sagittal", {4, 4}));
  EXPECT_TRUE(sagittal.draw(1, Random(1)).image[0].equal(one.image_CIJK[0][2].t()));
}

TEST(SliceSampler, TurnsAndScalesWithinThePlane) {
  // Every slice of its own brightness: nothing from another may come in.
  PreparedCase one = drawn_case({12, 12, 5});
  one.image_CIJK = (torch::ones({1, 12, 12, 5}) * torch::tensor({1.0F, 2.0F, 3.0F, 4.0F, 5.0F})).contiguous();
  AugmentSettings augment;
  augment.spatial = 1;
  augment.elastic_voxels = 0.5;
  const SliceSampler sampler(one, all_slices(), augment, slices_plan("coronal", {12, 12}));
  for (uint64_t i = 0; i < 5; ++i) {
    const auto image = sampler.draw(2, Random(3, i)).image;
    for (int64_t n = 0; n < 3; ++n) {
      const auto inside = image[n].slice(0, 4, 8).slice(1, 4, 8);
      EXPECT_TRUE(torch::allclose(inside, torch::full_like(inside, static_cast<double>(n + 2)))) << i;
    }
  }
}

TEST(SliceSampler, TellsTheResolution) {
  PreparedCase one = drawn_case();
  one.spacing_mm = {0.8, 2, 0.5};
  const SliceSampler still(one, all_slices(), {}, slices_plan("axial", {6, 6}));
  EXPECT_TRUE(torch::allclose(still.draw(0, Random(1)).scale_factors, torch::tensor({2.0F, 1.25F})));
  AugmentSettings larger;
  larger.scaling = 1;
  larger.scaling_range = {2, 2};  // everything looks twice as large: pixels are half as large
  const SliceSampler scaled(one, all_slices(), larger, slices_plan("axial", {6, 6}));
  EXPECT_TRUE(torch::allclose(scaled.draw(0, Random(1)).scale_factors, torch::tensor({4.0F, 2.5F})));
  AugmentSettings noisy;
  noisy.scale_factor_noise = 0.1;
  const SliceSampler sampler(one, all_slices(), noisy, slices_plan("axial", {6, 6}));
  std::set<float> seen;
  double square = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    const auto factors = sampler.draw(0, Random(1, i)).scale_factors;
    const float off = factors[0].item<float>() - 2;
    EXPECT_NEAR(factors[1].item<float>() - 1.25F, off, 1e-5);  // one draw for both
    seen.insert(off);
    square += off * off;
  }
  EXPECT_GT(seen.size(), 190U);
  EXPECT_NEAR(std::sqrt(square / 200), 0.1, 0.015);
}

/// Class 1 where the middle of three slices is bright.
struct MiddleThreshold : Network {
  Extent size_multiples() const override { return {1, 1}; }
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    const auto middle = x.narrow(1, 1, 1);
    return {torch::cat({torch::full_like(middle, 0.5), middle, torch::zeros_like(middle)}, 1)};
  }
};

TEST(PredictSlices, CoversTheWholeCase) {
  PreparedCase one;
  one.image_CIJK = torch::randint(0, 256, {1, 11, 8, 5}, torch::kUInt8);
  one.scale = 1.0F / 255;
  one.classes_IJK = torch::zeros({11, 8, 5}, torch::kUInt8);
  MiddleThreshold network;
  const auto expected = (one.image_CIJK[0] >= 128).to(torch::kUInt8);
  for (const char* plane : {"axial", "coronal"})
    for (const auto& patch : std::vector<std::vector<int64_t>>{{4, 4}, {16, 16}})
      EXPECT_TRUE(predict_slices(network, one, slices_plan(plane, patch), torch::kCPU).equal(expected))
          << plane;
}

}  // namespace
}  // namespace mambaseg
