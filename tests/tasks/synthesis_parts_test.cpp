#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/quick_normals.h"
#include "mambaseg/tasks/synthetic/axis_map.h"
#include "mambaseg/tasks/synthetic/head_labels.h"
#include "mambaseg/tasks/synthetic/smooth_field.h"

namespace mambaseg {
namespace {

std::vector<float> values_of(const SmoothField& field, const Lattice& lattice) {
  FieldRows rows(field, lattice);
  std::vector<float> out;
  for (int64_t i = 0; i < lattice.size[0]; ++i)
    for (int64_t j = 0; j < lattice.size[1]; ++j) {
      const float* row = rows.row(i, j);
      out.insert(out.end(), row, row + lattice.size[2]);
    }
  return out;
}

double deviation_of(const std::vector<float>& values) {
  double sum = 0, squares = 0;
  for (const float v : values) sum += v, squares += double(v) * v;
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / n - sum / n * (sum / n));
}

TEST(SmoothField, HasDeviationOneAndTheSlopeItStates) {
  constexpr double kSpacing = 4;
  Random random(3);
  const SmoothField field({0, 0, 0}, {79, 79, 79}, kSpacing, random);
  const Lattice lattice{{0, 0, 0}, 1, {80, 80, 80}};
  const auto values = values_of(field, lattice);
  // 20^3 nodes: about 8000 values that do not depend on each other, so 5 standard errors are 0.04.
  EXPECT_NEAR(deviation_of(values), 1, 0.04);
  constexpr double kStep = 0.01;
  const auto moved = values_of(field, {{0, 0, 0}, 1, {80, 80, 79}});
  const auto further = values_of(field, {{0, 0, kStep}, 1, {80, 80, 79}});
  std::vector<float> slopes(moved.size());
  for (size_t v = 0; v < moved.size(); ++v)
    slopes[v] = static_cast<float>((further[v] - moved[v]) / kStep * kSpacing);
  EXPECT_NEAR(deviation_of(slopes), SmoothField::kSlope, 0.05);
}

TEST(SmoothField, IsTheSameFunctionOnEveryLattice) {
  Random random(5);
  const SmoothField field({-3.5, 0, 2}, {20, 17, 30}, 5, random);
  const auto fine = values_of(field, {{-3.5, 0, 2}, 0.5, {40, 30, 50}});
  const auto coarse = values_of(field, {{-3.5, 0, 2}, 1, {20, 15, 25}});
  size_t at = 0;
  for (size_t i = 0; i < 20; ++i)
    for (size_t j = 0; j < 15; ++j)
      for (size_t k = 0; k < 25; ++k, ++at)
        ASSERT_FLOAT_EQ(coarse[at], fine[(2 * i * 30 + 2 * j) * 50 + 2 * k]);
}

TEST(QuickNormals, AreNormal) {
  Random random(1);
  QuickNormals normals(random);
  constexpr int kCount = 400'000;
  double sum = 0, squares = 0, fourth = 0;
  int beyond_one = 0, beyond_three = 0;
  for (int i = 0; i < kCount; ++i) {
    const double z = normals.next();
    sum += z, squares += z * z, fourth += z * z * z * z;
    beyond_one += z > 1, beyond_three += z < -3;
  }
  // Five standard errors of each.
  EXPECT_NEAR(sum / kCount, 0, 0.008);
  EXPECT_NEAR(squares / kCount, 1, 0.012);
  EXPECT_NEAR(fourth / kCount, 3, 0.08);
  EXPECT_NEAR(beyond_one / double(kCount), 0.158655, 0.003);
  EXPECT_NEAR(beyond_three / double(kCount), 0.00135, 0.0003);
}

TEST(AxisMap, OneVoxelApartWithoutBlurChangesNothing) {
  std::vector<float> image(3 * 4 * 5);
  std::iota(image.begin(), image.end(), 0.0f);
  const auto before = image;
  Index3 size{3, 4, 5};
  for (int a = 0; a < 3; ++a) apply_along(a, measuring(size[a], 1, 1, 0, 0), size, image);
  EXPECT_EQ(image, before);
  EXPECT_EQ(size, (Index3{3, 4, 5}));
}

TEST(AxisMap, KeepsWhatIsConstantAndWhatRisesEvenly) {
  constexpr int64_t kLength = 60;
  for (const double spacing : {1.0, 1.3, 2.0, 4.7, 8.0})
    for (const double phase : {0.0, 0.3, 0.9})
      for (int axis = 0; axis < 3; ++axis) {
        Index3 whole{4, 4, 4};
        whole[axis] = kLength;
        Index3 size = whole;
        int64_t stride = 1;
        for (int a = axis + 1; a < 3; ++a) stride *= whole[a];
        std::vector<float> flat(kLength * 16, 0.7f), ramp(flat.size());
        const auto place_of = [&](size_t v) { return static_cast<int64_t>(v) / stride % kLength; };
        for (size_t v = 0; v < ramp.size(); ++v) ramp[v] = static_cast<float>(place_of(v));
        for (auto* image : {&flat, &ramp}) {
          apply_along(axis, measuring(kLength, spacing, 0.8 * spacing, 0.4, phase), size, *image);
          EXPECT_EQ(size[axis], static_cast<int64_t>(std::ceil(kLength / spacing)));
          apply_along(axis, interpolating(kLength, spacing, phase), size, *image);
          ASSERT_EQ(size, whole);
        }
        EXPECT_THAT(flat, testing::Each(testing::FloatNear(0.7f, 1e-5f)));
        // A box of a width that is no whole number is cut at whole voxels, which moves its mean a little.
        for (size_t v = 0; v < ramp.size(); ++v) {
          if (place_of(v) <= 18 || place_of(v) >= 42) continue;
          ASSERT_NEAR(ramp[v], static_cast<double>(place_of(v)), 0.15) << spacing << " " << phase;
        }
      }
}

/// The quantile of a normal distribution, by bisection.
double normal_quantile(double probability) {
  double low = -8, high = 8;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < probability ? low : high) = middle;
  }
  return low;
}

TEST(AxisMap, WeighsVoxelsByWhatOfTheProfileLiesInThem) {
  constexpr int kSteps = 500;
  for (const double width : {1.0, 3.0, 6.5})
    for (const double deviation : {0.0, 0.6, 2.0})
      for (const double phase : {0.0, 0.25}) {
        const AxisMap map = measuring(101, 1, width, deviation, phase);
        // Many places of the profile, each counted for the voxel in which it lies.
        std::vector<double> expected(101);
        for (int n = 0; n < kSteps; ++n) {
          const double normal = deviation > 0 ? deviation * normal_quantile((n + 0.5) / kSteps) : 0;
          for (int b = 0; b < kSteps; ++b) {
            const double place = 50 + phase + normal + width * ((b + 0.5) / kSteps - 0.5);
            expected[static_cast<size_t>(std::floor(place + 0.5))] += 1.0 / (kSteps * kSteps);
          }
        }
        for (int64_t t = 0; t < map.taps; ++t)
          EXPECT_NEAR(map.weights[static_cast<size_t>(50 * map.taps + t)],
                      expected[static_cast<size_t>(map.first[50] + t)], 0.003)
              << width << " " << deviation << " " << t;
      }
}

TEST(HeadLabels, AreUniqueAndMirrorEachOther) {
  const auto& labels = head_labels();
  ASSERT_LT(labels.size(), 255u);  // one more index stands for what lies outside
  EXPECT_EQ(labels[0].number, 0);
  std::set<int64_t> numbers;
  for (size_t index = 0; index < labels.size(); ++index) {
    EXPECT_TRUE(numbers.insert(labels[index].number).second) << labels[index].number;
    EXPECT_EQ(head_label_index(labels[index].number), static_cast<int>(index));
    const int other = head_label_index(labels[index].mirrored);
    ASSERT_GE(other, 0) << labels[index].number;
    EXPECT_EQ(labels[static_cast<size_t>(other)].mirrored, labels[index].number);
    EXPECT_EQ(labels[static_cast<size_t>(other)].tissue, labels[index].tissue);
  }
  EXPECT_EQ(head_label_index(999), -1);
  EXPECT_EQ(labels[static_cast<size_t>(head_label_index(10))].mirrored, 49);
  EXPECT_EQ(labels[static_cast<size_t>(head_label_index(16))].mirrored, 16);
  EXPECT_EQ(labels[static_cast<size_t>(head_label_index(1035))].mirrored, 2035);
}

TEST(HeadLabels, HoldAllOfSynthSegsMaps) {
  for (const int64_t number :
       {0,  2,  3,  4,   5,   7,   8,   10,  11,  12,  13,  14,  15,  16,  17,  18,  24,  25,
        26, 28, 30, 41,  42,  43,  44,  46,  47,  49,  50,  51,  52,  53,  54,  57,  58,  60,
        62, 72, 85, 136, 137, 163, 164, 502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530})
    EXPECT_GE(head_label_index(number), 0) << number;
}

TEST(HeadTissues, HaveOrderedPriors) {
  for (const HeadTissue& tissue : head_tissues()) {
    EXPECT_LE(tissue.prior.low, tissue.prior.median) << tissue.prior.name;
    EXPECT_LE(tissue.prior.median, tissue.prior.high) << tissue.prior.name;
  }
  EXPECT_EQ(head_tissues()[0].place, TissuePlace::air);
  EXPECT_THROW(head_tissue_index("thalmus"), UsageError);
}

}  // namespace
}  // namespace mambaseg
