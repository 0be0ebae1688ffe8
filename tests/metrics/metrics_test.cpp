// What every metric of the list must obey: a new metric is tested by standing there.
#include <gtest/gtest.h>

#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/metrics/compare_labels.h"
#include "mambaseg/metrics/metric.h"
#include "tests/metrics/blobs.h"

namespace mambaseg {
namespace {

std::vector<const Metric*> all_metrics() {
  std::vector<const Metric*> all;
  for (const Metric& metric : metrics()) all.push_back(&metric);
  return all;
}

Volume<int32_t> ball(const Geometry& geometry, double shift = 0) {
  Volume<int32_t> image(geometry);
  draw_ball(image, {7 + shift, 8, 6}, 4.2, 3);
  return image;
}

double value(const Metric& metric, const Volume<int32_t>& reference, const Volume<int32_t>& prediction) {
  const auto reported = score(metric, compare_label(reference, prediction, 3));
  EXPECT_TRUE(reported.has_value()) << metric.name;
  return reported.value_or(NAN);
}

TEST(EveryMetric, HasANameOfItsOwnAndADefinition) {
  for (const Metric& metric : metrics()) {
    EXPECT_EQ(&metric_by_name(metric.name), &metric) << metric.name;
    EXPECT_FALSE(metric.definition.empty()) << metric.name;
  }
}

TEST(EveryMetric, IdenticalMasksAreBestAndAShiftIsWorse) {
  const Geometry geometry = grid({18, 17, 13}, {1, 0.8, 2});
  for (const Metric& metric : metrics()) {
    if (metric.kind == Kind::measure) continue;
    const double best = metric.kind == Kind::score ? 1 : 0;
    EXPECT_NEAR(value(metric, ball(geometry), ball(geometry)), best, 1e-12) << metric.name;
    const double shifted = value(metric, ball(geometry), ball(geometry, 3));
    if (metric.name == "VS" || metric.basis == Basis::lesions) {
      EXPECT_EQ(shifted, 1);  // the same volume at another place, and touched
    } else if (metric.kind == Kind::score) {
      EXPECT_LT(shifted, 1) << metric.name;
    } else {
      EXPECT_GT(shifted, 0.5) << metric.name;
    }
  }
}

TEST(EveryMetric, OneEmptyMaskIsTheWorstValueWhicheverIsEmpty) {
  const Geometry geometry = grid({18, 17, 13}, {1, 0.8, 2});
  const double diagonal = std::sqrt(17 * 17 + 12.8 * 12.8 + 24 * 24);
  const Volume<int32_t> empty(geometry);
  for (const Metric& metric : metrics()) {
    if (metric.kind == Kind::measure) continue;
    const double worst = metric.kind == Kind::score ? 0 : diagonal;
    EXPECT_NEAR(value(metric, ball(geometry), empty), worst, 1e-12) << metric.name;
    EXPECT_NEAR(value(metric, empty, ball(geometry)), worst, 1e-12) << metric.name;
  }
}

TEST(EveryMetric, BothEmptyIsUndefined) {
  const Volume<int32_t> empty(grid({4, 5, 6}));
  for (const Metric& metric : metrics())
    if (metric.kind != Kind::measure) {
      EXPECT_FALSE(score(metric, compare_label(empty, empty, 3)).has_value()) << metric.name;
    }
}

TEST(EveryMetric, ScalesWithTheVoxelAsItsUnitSays) {
  const Geometry small = grid({18, 17, 13}, {1, 0.8, 2});
  const Geometry large = grid({18, 17, 13}, {2, 1.6, 4});
  for (const Metric& metric : metrics()) {
    const auto scaled = [&](const Geometry& geometry, double tolerance_mm) {
      return score(metric, compare_label(ball(geometry), ball(geometry, 2), 3, tolerance_mm)).value();
    };
    const double factor = metric.unit == "mm" ? 2 : metric.unit == "mm3" ? 8 : 1;
    EXPECT_NEAR(scaled(large, 2), factor * scaled(small, 1), 1e-9) << metric.name;
  }
}

TEST(EveryMetric, IsWithinItsRangeOnNoise) {
  for (const Index3& size : {Index3{15, 12, 9}, Index3{21, 14, 1}, Index3{1, 1, 30}}) {
    const Geometry geometry = grid(size, {1, 0.9, 3});
    const Volume<int32_t> a = random_labels(geometry, 4, 1), b = random_labels(geometry, 4, 2);
    for (const LabelScores& label : compare_labels(a, b, labels_in(a), {all_metrics()}))
      for (size_t m = 0; m < label.values.size(); ++m) {
        if (!label.values[m] || metrics()[m].kind == Kind::measure) continue;
        EXPECT_GE(*label.values[m], 0) << metrics()[m].name;
        EXPECT_LE(*label.values[m], metrics()[m].kind == Kind::score ? 1 : 100) << metrics()[m].name;
      }
  }
}

TEST(Metrics,
     WorkedExample) {  // reference 4 long, prediction 2 long
  const Geometry geometry = grid({8, 1, 1}, {2, 1, 1});
  Volume<int32_t> reference(geometry), prediction(geometry);
  for (int i = 1; i < 5; ++i) reference.at(i, 0, 0) = 3;
  for (int i = 4; i < 6; ++i) prediction.at(i, 0, 0) = 3;
  EXPECT_EQ(compare_label(reference, prediction, 3).counts, (Counts{1, 1, 3, 3}));
  const auto named = [&](const char* name) { return value(metric_by_name(name), reference, prediction); };
  EXPECT_NEAR(named("Dice"), 2.0 / 6, 1e-15);
  EXPECT_NEAR(named("VS"), 1 - 2.0 / 6, 1e-15);
  // surface voxels 1, 4 and 4, 5: distances 6, 0 and 0, 2 mm
  EXPECT_NEAR(named("ASSD"), 2, 1e-12);
  EXPECT_NEAR(named("ASSD_medpy"), 2, 1e-12);
  EXPECT_NEAR(named("ASD_reference"), 3, 1e-12);
  EXPECT_NEAR(named("ASD_prediction"), 1, 1e-12);
  EXPECT_NEAR(named("IoU"), 1.0 / 5, 1e-15);
  EXPECT_NEAR(named("precision"), 1.0 / 2, 1e-15);
  EXPECT_NEAR(named("recall"), 1.0 / 4, 1e-15);
  EXPECT_NEAR(named("specificity"), 3.0 / 4, 1e-15);
  EXPECT_NEAR(named("F2"), 5.0 / (5 + 12 + 1), 1e-15);
  EXPECT_NEAR(named("HD"), 6, 1e-12);
  EXPECT_NEAR(named("HD95"), 2 + 0.85 * 4, 1e-12);  // of 0, 0, 2, 6
  EXPECT_NEAR(named("HD95_monai"), 0.95 * 6, 1e-12);
  EXPECT_NEAR(named("NSD_monai"), 2.0 / 4, 1e-12);
  // ends between voxels at 0.5, 4.5 and 3.5, 5.5: distances 6, 2 and 2, 2 mm
  EXPECT_NEAR(named("HD_deepmind"), 6, 1e-12);
  EXPECT_NEAR(named("NSD"), 0, 1e-12);
  EXPECT_NEAR(named("ASD_reference_deepmind"), 4, 1e-12);
  EXPECT_NEAR(named("volume_reference"), 8, 1e-12);
  EXPECT_NEAR(named("volume_difference"), -4, 1e-12);
  EXPECT_NEAR(named("relative_volume_difference"), -0.5, 1e-12);
  EXPECT_EQ(named("lesion_F1"), 1);
  EXPECT_EQ(named("lesions_false"), 0);
}

TEST(Metrics, UnknownNameSuggestsTheNearest) {
  try {
    metric_by_name("Dise");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("\"Dice\""), std::string::npos) << error.what();
  }
}

TEST(CompareLabels, EqualsLabelByLabelWhateverTheThreads) {
  const Geometry geometry = grid({23, 19, 14}, {1, 0.9, 3});
  const Volume<int32_t> a = random_labels(geometry, 6, 3), b = random_labels(geometry, 5, 4);
  const std::vector<int32_t> labels{1, 2, 4, 6, 9};
  ScoreOptions options{all_metrics()};
  const auto one = compare_labels(a, b, labels, options);
  options.threads = 5;
  const auto five = compare_labels(a, b, labels, options);
  for (size_t l = 0; l < labels.size(); ++l) {
    Volume<int32_t> only_a(geometry), only_b(geometry);
    for (size_t v = 0; v < a.voxels.size(); ++v) {
      only_a.voxels[v] = a.voxels[v] == labels[l] ? 3 : 0;
      only_b.voxels[v] = b.voxels[v] == labels[l] ? 3 : 0;
    }
    const LabelComparison alone = compare_label(only_a, only_b, 3);
    EXPECT_EQ(one[l].label, labels[l]);
    EXPECT_EQ(one[l].counts, alone.counts);
    EXPECT_EQ(one[l].presence, alone.presence());
    EXPECT_EQ(one[l].values, five[l].values);
    for (size_t m = 0; m < metrics().size(); ++m) EXPECT_EQ(one[l].values[m], score(metrics()[m], alone));
  }
  EXPECT_EQ(one[3].presence, Presence::missed);
  EXPECT_EQ(one[4].presence, Presence::absent);
}

TEST(CompareLabels, RefusesGridsThatDoNotFit) {
  const Volume<int32_t> a(grid({4, 5, 6})), other_size(grid({4, 6, 6}));
  Volume<int32_t> moved = a, flat = a;
  moved.geometry.voxel_to_ras_mm.offset[1] = 0.5;
  flat.geometry.voxel_to_ras_mm.matrix[2][2] = 0;
  const std::vector<int32_t> labels{1};
  EXPECT_THROW(compare_labels(a, other_size, labels, {}), Error);
  EXPECT_THROW(compare_labels(a, moved, labels, {}), Error);
  EXPECT_THROW(compare_labels(flat, flat, labels, {}), Error);
  moved.geometry.voxel_to_ras_mm.offset[1] = 0.05;  // headers written with little precision
  EXPECT_NO_THROW(compare_labels(a, moved, labels, {}));
}

TEST(LabelsIn, AreSortedWithoutBackgroundAndNotNegative) {
  Volume<int32_t> image(grid({3, 2, 1}));
  image.voxels = {7, 0, 2, 2, 1011, 7};
  EXPECT_EQ(labels_in(image), (std::vector<int32_t>{2, 7, 1011}));
  image.voxels[1] = -4;
  EXPECT_THROW(labels_in(image), Error);
}

}  // namespace
}  // namespace mambaseg
