#include "mambaseg/tasks/synthetic/head_synthesis.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <iostream>
#include <map>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/workers.h"
#include "mambaseg/io/image.h"
#include "mambaseg/tasks/synthetic/label_map_case.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

/// Structures as blocks of 12^3 voxels in white matter; each on both sides of the middle of axis 0.
constexpr int64_t kPaired[][2] = {{10, 49}, {11, 50}, {12, 51}, {13, 52}, {17, 53},
                                  {18, 54}, {26, 58}, {28, 60}, {4, 43}};

/// A head of n^3 voxels, axes L I A: air, skin, bone, fluid, cortex, white matter and the blocks; below the
/// brain stem a neck down to the last slice. Symmetric but for the numbers of the two sides.
Volume<int32_t> drawn_head(int64_t n) {
  Geometry geometry;
  geometry.size = {n, n, n};
  geometry.voxel_to_ras_mm = {{{{-1, 0, 0}, {0, 0, 1}, {0, -1, 0}}}, {0, 0, 0}};
  Volume<int32_t> head(geometry);
  const double middle = 0.5 * static_cast<double>(n - 1), edge = middle - 2;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t k = 0; k < n; ++k) {
        const double x = static_cast<double>(i) - middle, y = static_cast<double>(j) - 0.8 * middle,
                     z = static_cast<double>(k) - middle;
        const double r = std::sqrt(x * x + 1.4 * y * y + z * z) / edge;
        const bool left = i < n / 2;  // the index grows to the left: the lower half is the right side
        int32_t label = 0;
        if (r < 1) label = 511;
        if (r < 0.94) label = 515;
        if (r < 0.88) label = 24;
        if (r < 0.84) label = left ? 42 : 3;
        if (r < 0.74) label = left ? 41 : 2;
        if (r >= 0.88 && y > 0 && x * x + z * z < 0.2 * edge * edge) label = 507;
        head.at(i, j, k) = label;
      }
  const int64_t at[9][2] = {{18, 0},  {18, 13}, {18, 26}, {31, 0}, {31, 13},
                            {31, 26}, {44, 0},  {44, 13}, {44, 26}};
  for (size_t s = 0; s < std::size(kPaired); ++s)
    for (int64_t i = 0; i < 12; ++i)
      for (int64_t j = 0; j < 12; ++j)
        for (int64_t k = 0; k < 12; ++k) {
          const int64_t y = at[s][0] * n / 96 + j, z = (28 + at[s][1]) * n / 96 + k;
          head.at(n / 2 + 8 + i, y, z) = static_cast<int32_t>(kPaired[s][0]);
          head.at(n / 2 - 9 - i, y, z) = static_cast<int32_t>(kPaired[s][1]);
          if (s % 3 == 1) head.at(n / 2 - 6 + i, y, z) = s == 1 ? 7 : 16;
        }
  return head;
}

Plan drawn_plan(int64_t patch) {
  Plan plan;
  plan.patch = {patch, patch, patch};
  for (const auto& [left, right] : kPaired) {
    plan.classes.push_back({concat("left ", left), {left}});
    plan.classes.push_back({concat("right ", right), {right}});
  }
  plan.classes.push_back({"brain stem", {16}});
  return plan;
}

HeadLabelMap drawn_map(int64_t n) {
  const Volume<int32_t> head = drawn_head(n);
  HeadLabelMap map{torch::empty({n, n, n}, torch::kUInt8), "LIA", 1};
  auto* to = map.labels_IJK.data_ptr<uint8_t>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t k = 0; k < n; ++k) *to++ = static_cast<uint8_t>(head_label_index(head.at(i, j, k)));
  return map;
}

/// Nothing but a brightness for each tissue.
SynthesisSettings plain() {
  SynthesisSettings s;
  s.place = "head";
  s.jitter_mm = s.flip = s.scaling = s.rotation_degrees = s.shear = s.elastic_strain = 0;
  s.t1 = s.free_deviation = s.gamma = s.bias = 0;
  s.blur_voxels = {0, 0};
  s.thick_slices = s.large_voxels = s.noise = 0;
  s.skull_stripped = s.zero_background = s.neck_cut = 0;
  return s;
}

/// Class numbers of the undeformed patch of the whole head.
torch::Tensor classes_of(const HeadLabelMap& map, const Plan& plan) {
  torch::Tensor out = torch::zeros(map.labels_IJK.sizes(), torch::kInt64);
  for (size_t k = 0; k < plan.classes.size(); ++k)
    out.masked_fill_(map.labels_IJK == head_label_index(plan.classes[k].ids[0]), static_cast<int64_t>(k + 1));
  return out;
}

torch::Tensor where(const HeadLabelMap& map, int64_t number) {
  return map.labels_IJK == head_label_index(number);
}

float median_of(const Sample& sample, const torch::Tensor& where) {
  return sample.image[0].masked_select(where).median().item<float>();
}

TEST(HeadSynthesis, ShowsTheHeadWithOneBrightnessForEachTissue) {
  const HeadLabelMap map = drawn_map(64);
  const Plan plan = drawn_plan(64);
  const Sample sample = HeadSynthesis(map, plain(), plan).draw(Random(1));
  EXPECT_TRUE(sample.classes.equal(classes_of(map, plan)));
  EXPECT_EQ(sample.image.sizes(), (std::vector<int64_t>{1, 64, 64, 64}));
  for (const auto& [left, right] : kPaired) {
    const auto values = sample.image[0].masked_select(where(map, left));
    EXPECT_EQ(values.min().item<float>(), values.max().item<float>());
    EXPECT_EQ(median_of(sample, where(map, right)), values.max().item<float>()) << "both sides look alike";
  }
  EXPECT_EQ(sample.image[0].masked_select(where(map, 0)).max().item<float>(), 0);
}

TEST(HeadSynthesis, DependsOnTheRandomNumbersOnly) {
  const HeadLabelMap map = drawn_map(64);
  const HeadSynthesis synthesis(map, {}, drawn_plan(40)), again(map, {}, drawn_plan(40));
  constexpr int64_t kCount = 6;
  std::vector<Sample> samples(kCount);
  run_jobs(kCount, Workers(3), [&](int64_t i) {
    samples[static_cast<size_t>(i)] = synthesis.draw(Random(9, static_cast<uint64_t>(i)));
  });
  for (int64_t i = kCount - 1; i >= 0; --i) {
    const Sample other = again.draw(Random(9, static_cast<uint64_t>(i)));
    const Sample& one = samples[static_cast<size_t>(i)];
    EXPECT_TRUE(one.image.equal(other.image));
    EXPECT_TRUE(one.classes.equal(other.classes));
    EXPECT_GE(one.image.min().item<float>(), 0);
    EXPECT_LE(one.image.max().item<float>(), 1);
    const auto bytes = one.image * 255;
    EXPECT_LT((bytes - bytes.round()).abs().max().item<float>(), 1e-4f);
    EXPECT_FALSE(one.image.equal(samples[static_cast<size_t>((i + 1) % kCount)].image));
  }
}

TEST(HeadSynthesis, AFlipMirrorsTheImageAndExchangesTheSides) {
  const HeadLabelMap map = drawn_map(64);
  const Plan plan = drawn_plan(64);
  SynthesisSettings settings = plain();
  const Sample as_is = HeadSynthesis(map, settings, plan).draw(Random(4));
  settings.flip = 1;
  const Sample flipped = HeadSynthesis(map, settings, plan).draw(Random(4));
  EXPECT_TRUE(flipped.image.equal(as_is.image.flip(1)));
  // The drawn head is symmetric, so left stays where left was.
  EXPECT_TRUE(flipped.classes.equal(as_is.classes));

  HeadLabelMap one_sided = map;  // a larger left thalamus
  one_sided.labels_IJK = map.labels_IJK.clone();
  one_sided.labels_IJK.slice(0, 40, 46).slice(1, 6, 12).slice(2, 20, 30).fill_(head_label_index(10));
  settings.flip = 0;
  const auto before = HeadSynthesis(one_sided, settings, plan).draw(Random(4)).classes;
  settings.flip = 1;
  const auto after = HeadSynthesis(one_sided, settings, plan).draw(Random(4)).classes;
  EXPECT_FALSE(before.equal(after));
  EXPECT_TRUE((after == 2).equal((before == 1).flip(0))) << "the left thalamus is the right one now";
  EXPECT_TRUE((after == 1).equal((before == 2).flip(0)));
}

/// The table of T1 contrasts: lowest, middle and highest of 20 scans' medians over white matter.
TEST(HeadSynthesis, T1ContrastsLieWhereScansHaveThem) {
  struct Contrast {
    int64_t number;
    double low, middle, high;
  };
  const Contrast table[] = {{4, .16, .33, .45},   {17, .60, .63, .67}, {18, .59, .63, .68},
                            {26, .63, .66, .72},  {11, .68, .71, .75}, {12, .77, .81, .87},
                            {10, .80, .84, .88},  {16, .83, .87, .92}, {28, .89, .93, .97},
                            {13, .93, .97, 1.03}, {7, .89, .96, 1.02}};
  const HeadLabelMap map = drawn_map(96);
  SynthesisSettings settings = plain();
  settings.t1 = settings.t1_spread = 1;
  settings.t1_contrast = {1, 1};
  settings.patches_mm = {2.5, 3};
  const HeadSynthesis synthesis(map, settings, drawn_plan(96));
  constexpr int kSamples = 24;
  std::map<int64_t, std::vector<double>> seen;
  for (int i = 0; i < kSamples; ++i) {
    const Sample sample = synthesis.draw(Random(11, static_cast<uint64_t>(i)));
    const double white = median_of(sample, where(map, 2) | where(map, 41));
    for (const Contrast& one : table)
      seen[one.number].push_back(median_of(sample, where(map, one.number)) / white);
  }
  for (const Contrast& one : table) {
    auto& values = seen[one.number];
    std::sort(values.begin(), values.end());
    // A median of 12^3 voxels: those of 3^3 vary together by 0.09 at most, which gives a standard error of
    // 1.25 * 0.09 / 8; and steps of 1/255 of values of 0.4 and more for white matter.
    const double error = 3 * 0.014 + 0.5 / 255 / 0.4;
    EXPECT_GE(values.front(), one.low - error) << one.number;
    EXPECT_LE(values.back(), one.high + error) << one.number;
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / kSamples;
    EXPECT_NEAR(mean, (one.low + one.middle + one.high) / 3, 0.3 * (one.high - one.low)) << one.number;
    EXPECT_GT(values.back() - values.front(), 0.3 * (one.high - one.low)) << one.number;
  }
}

TEST(HeadSynthesis, DeformationsKeepStructuresWhole) {
  const HeadLabelMap map = drawn_map(64);
  const Plan plan = drawn_plan(64);
  const auto before = classes_of(map, plan);
  for (const bool elastic : {false, true}) {
    SynthesisSettings settings = plain();
    const SynthesisSettings usual;
    if (elastic) {
      settings.elastic_strain = usual.elastic_strain;
    } else {
      settings.scaling = usual.scaling;
      settings.rotation_degrees = usual.rotation_degrees;
      settings.shear = usual.shear;
    }
    const HeadSynthesis synthesis(map, settings, plan);
    for (uint64_t i = 0; i < 6; ++i) {
      const auto after = synthesis.draw(Random(2, i)).classes;
      EXPECT_FALSE(after.equal(before));
      for (int64_t k = 1; k <= 18; ++k) {
        const double ratio = static_cast<double>((after == k).sum().item<int64_t>()) /
                             static_cast<double>((before == k).sum().item<int64_t>());
        // Three edges by 20 % each; elastic: a sum of three strains of 15 % each, three times.
        EXPECT_GT(ratio, elastic ? 0.35 : 0.45) << k;
        EXPECT_LT(ratio, elastic ? 1.9 : 1.9) << k;
      }
    }
  }
}

TEST(HeadSynthesis, TakesTheSkullAwayAndLeavesTheBrain) {
  const HeadLabelMap map = drawn_map(64);
  const Plan plan = drawn_plan(64);
  const auto head = where(map, 511) | where(map, 515);
  const auto white = where(map, 2) | where(map, 41);
  SynthesisSettings settings = plain();
  settings.t1 = 1;
  for (uint64_t i = 0; i < 4; ++i) {
    settings.skull_stripped = 1;
    settings.strip_remnants = 0;
    const auto stripped = HeadSynthesis(map, settings, plan).draw(Random(6, i)).image[0];
    EXPECT_EQ(stripped.masked_select(head).max().item<float>(), 0);
    EXPECT_GT(stripped.masked_select(white).min().item<float>(), 0.2f);
    settings.skull_stripped = 0;
    const auto whole = HeadSynthesis(map, settings, plan).draw(Random(6, i)).image[0];
    EXPECT_GT(whole.masked_select(where(map, 511)).median().item<float>(), 0.1f);
  }
}

TEST(HeadSynthesis, CutsTheNeckBelowTheBrain) {
  const HeadLabelMap map = drawn_map(64);
  const Plan plan = drawn_plan(64);
  SynthesisSettings settings = plain();
  settings.t1 = 1;
  settings.neck_cut = 1;
  settings.noise = 0.05;
  settings.rician = 1;
  const auto brain = where(map, 2) | where(map, 41) | where(map, 3) | where(map, 42);
  const int64_t brain_end = brain.any(2).any(0).nonzero().max().item<int64_t>();
  const HeadSynthesis synthesis(map, settings, plan);
  std::set<int64_t> ends;
  for (uint64_t i = 0; i < 8; ++i) {
    const auto image = synthesis.draw(Random(8, i)).image[0];
    const auto measured = (image > 0).any(2).any(0);
    const int64_t end = measured.nonzero().max().item<int64_t>();
    EXPECT_GE(end, brain_end);
    EXPECT_TRUE(measured.slice(0, 0, end + 1).all().item<bool>()) << "noise in every slice that is measured";
    ends.insert(end);
  }
  EXPECT_GT(ends.size(), 3u);
}

/// Second differences along each axis: little along an axis whose values are interpolated.
double roughness(const torch::Tensor& image, int axis) {
  const int64_t n = image.size(axis);
  const auto second = image.slice(axis, 0, n - 2) - 2 * image.slice(axis, 1, n - 1) + image.slice(axis, 2, n);
  return second.abs().mean().item<double>();
}

TEST(HeadSynthesis, ThickSlicesAreSmoothAlongOneAxis) {
  const HeadLabelMap map = drawn_map(64);
  const Plan plan = drawn_plan(64);
  for (const double thick : {0.0, 1.0}) {
    SynthesisSettings settings = plain();
    settings.t1 = 1;
    settings.noise = 0.08;
    settings.thick_slices = thick;
    const HeadSynthesis synthesis(map, settings, plan);
    double ratios = 0;
    constexpr int kSamples = 8;
    for (uint64_t i = 0; i < kSamples; ++i) {
      const auto image = synthesis.draw(Random(8, i)).image[0];
      const double a = roughness(image, 0), b = roughness(image, 1), c = roughness(image, 2);
      ratios += std::min({a, b, c}) / std::max({a, b, c}) / kSamples;
    }
    if (thick > 0) {
      EXPECT_LT(ratios, 0.6);
    } else {
      EXPECT_GT(ratios, 0.9);
    }
  }
}

TEST(HeadSynthesis, BiasVariesAlongTheHeadAndNoiseHasItsSize) {
  const HeadLabelMap map = drawn_map(64);
  const Plan plan = drawn_plan(64);
  SynthesisSettings settings = plain();
  settings.bias = 0.5;
  settings.bias_corrected = 0;
  const auto white = where(map, 2);
  double varied = 0;
  for (uint64_t i = 0; i < 8; ++i) {
    const auto values = HeadSynthesis(map, settings, plan).draw(Random(3, i)).image[0].masked_select(white);
    varied += (values.std() / values.mean()).item<double>() / 8;
  }
  EXPECT_GT(varied, 0.03);
  EXPECT_LT(varied, 0.5);

  settings = plain();
  settings.t1 = 1;
  settings.noise = 0.3;  // far above the tissues' own variation
  double noise = 0;
  for (uint64_t i = 0; i < 24; ++i) {
    const auto values = HeadSynthesis(map, settings, plan).draw(Random(3, i)).image[0].masked_select(white);
    noise += (values.std() / values.mean()).item<double>() / 24;
  }
  EXPECT_NEAR(noise, 0.15, 0.05) << "uniform up to the setting";
}

/// The robust rescale puts the brightest 0.1 % of the head's voxels at 255; the preview only estimates where
/// they begin.
TEST(HeadSynthesis, RescalesByTheRangeOfTheWholeHead) {
  const HeadLabelMap map = drawn_map(64);
  SynthesisSettings settings = plain();
  settings.t1 = 1;
  settings.noise = 0.05;
  settings.bias = 0.3;
  settings.zero_background = 1;
  const HeadSynthesis whole(map, settings, drawn_plan(64)), patch(map, settings, drawn_plan(24));
  double saturated = 0;
  constexpr int kSamples = 12;
  for (uint64_t i = 0; i < kSamples; ++i) {
    const auto image = whole.draw(Random(21, i)).image;
    saturated += static_cast<double>((image == 1).sum().item<int64_t>()) /
                 static_cast<double>((image > 0).sum().item<int64_t>()) / kSamples;
    // Skin is the brightest in most; a patch without any must not be stretched to the full range.
    EXPECT_LT(patch.draw(Random(21, i)).image.mean().item<float>(), 0.95f);
  }
  EXPECT_GT(saturated, 0.0003);
  EXPECT_LT(saturated, 0.004);
}

TEST(HeadSynthesis, RefusesWhatDoesNotFit) {
  const HeadLabelMap map = drawn_map(64);
  SynthesisSettings settings;
  settings.blur_voxels = {1, 0.5};
  EXPECT_THROW(HeadSynthesis(map, settings, drawn_plan(40)), UsageError);
  settings = {};
  settings.tissues = {{"thalmus", 0.8, 0.9, 1, 0, 0}};
  EXPECT_THROW(HeadSynthesis(map, settings, drawn_plan(40)), UsageError);
  settings.tissues = {{"thalamus", 0.9, 0.8, 1, 0, 0}};
  EXPECT_THROW(HeadSynthesis(map, settings, drawn_plan(40)), UsageError);
  Plan other = drawn_plan(40);
  other.classes = {{"fornix", {250}}};
  EXPECT_THROW(HeadSynthesis(map, {}, other), Error);
  EXPECT_THROW(from_json<SynthesisSettings>(Json{{"t1", 1.5}}), UsageError);
}

TEST(HeadSynthesis, PriorsOfTissuesCanBeReplaced) {
  const HeadLabelMap map = drawn_map(64);
  SynthesisSettings settings = plain();
  settings.t1 = settings.t1_spread = 1;
  settings.t1_contrast = {1, 1};
  settings.tissues = {{"thalamus", 0.5, 0.5, 0.5, 0, 0}};
  const Sample sample = HeadSynthesis(map, settings, drawn_plan(64)).draw(Random(1));
  EXPECT_NEAR(median_of(sample, where(map, 10)) / median_of(sample, where(map, 2)), 0.5, 0.02);
}

class LabelMapCase : public testing::Test {
 protected:
  void SetUp() override {
    head_ = drawn_head(64);
    write_labels(one_.labels, head_);
  }
  TemporaryFolder folder_;
  Case one_{"drawn", {}, folder_.string() + "/drawn.nii.gz", ""};
  Volume<int32_t> head_;
};

TEST_F(LabelMapCase, KeepsEveryLabelAndIsCutToTheHead) {
  const Plan plan = drawn_plan(40);
  prepare_cases({one_}, label_map_preparation(plan), folder_.string() + "/cache", Workers(1));
  const PreparedCase prepared = load_prepared(folder_.string() + "/cache", "drawn");
  const HeadLabelMap map = drawn_map(64);
  const auto some = map.labels_IJK != 0;
  const auto places = some.nonzero();
  const auto low = std::get<0>(places.min(0)), size = std::get<0>(places.max(0)) - low + 1;
  torch::Tensor labels = map.labels_IJK, classes = classes_of(map, plan);
  for (int64_t a = 0; a < 3; ++a) {
    labels = labels.narrow(a, low[a].item<int64_t>(), size[a].item<int64_t>());
    classes = classes.narrow(a, low[a].item<int64_t>(), size[a].item<int64_t>());
  }
  EXPECT_TRUE(prepared.image_CIJK[0].equal(labels));
  EXPECT_TRUE(prepared.classes_IJK.to(torch::kInt64).equal(classes));
}

TEST_F(LabelMapCase, IsTurnedToTheGridOfThePlan) {
  Plan plan = drawn_plan(16);
  plan.conform = "spacing";
  plan.spacing = {2, 2, 2};
  plan.orientation = "RAS";
  const PreparedCase prepared = prepare_label_map(one_, plan);
  EXPECT_NEAR(static_cast<double>(prepared.size()[2]), 0.5 * 62, 3);
  // RAS: the left thalamus has the lower index along axis 0.
  const auto left = (prepared.classes_IJK == 1).nonzero().select(1, 0).to(torch::kFloat32).mean();
  const auto right = (prepared.classes_IJK == 2).nonzero().select(1, 0).to(torch::kFloat32).mean();
  EXPECT_LT(left.item<float>(), right.item<float>());
}

TEST_F(LabelMapCase, SamplerDrawsPatchesOfThePlan) {
  SynthesisSettings settings;
  settings.samples_per_case = 3;
  const Plan plan = drawn_plan(40);
  const SyntheticSampler sampler(prepare_label_map(one_, plan), settings, plan);
  EXPECT_EQ(sampler.id(), "drawn");
  EXPECT_EQ(sampler.count(), 3);
  EXPECT_EQ(sampler.bytes(), 40 * 40 * 40 * 12);
  const Sample sample = sampler.draw(0, Random(5, 1));
  EXPECT_EQ(sample.image.sizes(), (std::vector<int64_t>{1, 40, 40, 40}));
  EXPECT_EQ(sample.classes.sizes(), (std::vector<int64_t>{40, 40, 40}));
  EXPECT_EQ(sample.classes.max().item<int64_t>() > 0, true);
}

TEST_F(LabelMapCase, SamplerDrawsWholeHeadsOfLargerVoxels) {
  SynthesisSettings settings = plain();
  settings.t1 = 1;
  settings.neck_cut = 1;
  settings.noise = 0.05;
  settings.rician = 1;
  Plan plan = drawn_plan(32);
  plan.conform = "spacing";
  plan.spacing = {2, 2, 2};
  plan.orientation = "RAS";
  const SyntheticSampler sampler(prepare_label_map(one_, plan), settings, plan);
  std::set<int64_t> ends;
  for (uint64_t i = 0; i < 6; ++i) {
    const Sample sample = sampler.draw(0, Random(5, i));
    for (int64_t k = 1; k <= 19; ++k) EXPECT_TRUE((sample.classes == k).any().item<bool>()) << k;
    const auto measured = (sample.image[0] > 0).any(0).any(0);  // along the axis that grows upwards
    EXPECT_TRUE(measured[31].item<bool>());
    ends.insert(measured.nonzero().min().item<int64_t>());
  }
  EXPECT_GT(ends.size(), 2u);
}

TEST_F(LabelMapCase, RefusesNumbersThatNoHeadHas) {
  head_.at(30, 30, 30) = 777;
  head_.at(31, 30, 30) = 888;
  write_labels(one_.labels, head_);
  try {
    prepare_label_map(one_, drawn_plan(40));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("drawn.nii.gz: 2 label numbers"));
    EXPECT_THAT(error.what(), HasSubstr("777, 888"));
  }
  Plan plan = drawn_plan(40);
  plan.conform = "none";
  EXPECT_THROW(prepare_label_map(one_, plan), UsageError);
}

TEST(HeadSynthesis, TimeOfASample) {
  const HeadSynthesis synthesis(drawn_map(128), {}, drawn_plan(96));
  constexpr uint64_t kSamples = 4;
  const std::clock_t start = std::clock();  // of this process, so that others do not count
  for (uint64_t i = 0; i < kSamples; ++i)
    EXPECT_EQ(synthesis.draw(Random(1, i)).classes.numel(), 96 * 96 * 96);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::cout << "a sample of 96^3 takes " << seconds / kSamples << " s of a core\n";
}

}  // namespace
}  // namespace mambaseg
