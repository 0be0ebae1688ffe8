#include "mambaseg/losses/loss.h"

#include <cmath>

#include <gtest/gtest.h>

#include "mambaseg/losses/cross_entropy.h"
#include "mambaseg/losses/cross_pseudo_supervision.h"
#include "mambaseg/losses/deep_supervision.h"
#include "mambaseg/losses/dice.h"
#include "mambaseg/losses/dice_bce_boundary.h"

namespace mambaseg {
namespace {

constexpr int64_t kClasses = 4;

const LossData kData{{100, 10, 5, 20}};

Json config_of(const LossEntry& entry) {
  Json config = entry.settings();
  config["name"] = entry.name;
  return config;
}

/// Labels (2, 3, 2, 3) that hold classes 0..2, so that class 3 is absent.
torch::Tensor drawn_labels() {
  torch::manual_seed(3);
  return torch::randint(0, kClasses - 1, {2, 3, 2, 3}, torch::kInt64);
}

torch::Tensor drawn_scores() {
  torch::manual_seed(4);
  return torch::randn({2, kClasses, 3, 2, 3}, torch::kFloat64);
}

torch::Tensor scores_of(const torch::Tensor& labels, double certainty) {
  return (2 * torch::one_hot(labels, kClasses).permute({0, 4, 1, 2, 3}).to(torch::kFloat64) - 1) * certainty;
}

/// Variants of every loss in the list: its defaults, and settings that take the other branches.
std::vector<Json> variants() {
  std::vector<Json> all;
  for (const LossEntry& entry : losses()) all.push_back(config_of(entry));
  all.push_back({{"name", "dice"}, {"background", false}});
  all.push_back({{"name", "dice"}, {"present_only", false}, {"pool_batch", false}});
  all.push_back({{"name", "dice"}, {"squared", true}});
  all.push_back({{"name", "cross_entropy"}, {"weighting", "median_frequency"}});
  all.push_back({{"name", "cross_entropy"}, {"weighting", "given"}, {"weights", {1.0, 2.0, 0.5, 3.0}}});
  all.push_back({{"name", "dice_bce_boundary"}, {"radius", 1}, {"band", "dilation"}});
  all.push_back({{"name", "dice_bce_boundary"}, {"radius", 1}, {"form", "weighted"}});
  all.push_back({{"name", "dice_bce_boundary"}, {"boundary_weight", 0.0}, {"bce_weight", 0.5}});
  all.push_back({{"name", "slice_presence"}, {"positive_weight", 2.5}});
  all.push_back({{"name", "dice_binary_cross_entropy"}, {"dice", {{"pool_batch", false}}}});
  return all;
}

TEST(LossSweep, GradientEqualsTheNumericOne) {
  for (const Json& config : variants()) {
    const auto loss = make_loss(config, kData);
    const auto labels = drawn_labels();
    auto scores = drawn_scores().requires_grad_();
    (*loss)(scores, labels, 0).backward();
    const auto gradient = scores.grad().flatten();
    const auto flat = scores.detach().flatten();
    const double h = 1e-6;
    for (int64_t i = 0; i < flat.numel(); i += 5) {
      auto shifted = [&](double by) {
        auto moved = flat.clone();
        moved[i] += by;
        return (*loss)(moved.view_as(scores), labels, 0).item<double>();
      };
      EXPECT_NEAR(gradient[i].item<double>(), (shifted(h) - shifted(-h)) / (2 * h), 1e-8)
          << config << " at " << i;
    }
  }
}

TEST(LossSweep, PerfectPredictionIsTheMinimum) {
  for (const Json& config : variants()) {
    const auto loss = make_loss(config, kData);
    const auto labels = drawn_labels();
    const double best = (*loss)(scores_of(labels, 60), labels, 0).item<double>();
    EXPECT_NEAR(best, 0, config.value("present_only", true) ? 1e-9 : 1e-3) << config;
    double previous = best;
    for (const double certainty : {4.0, 1.0, 0.0, -2.0}) {
      if (certainty < 0 && config["name"] == "slice_presence") continue;  // sees no places, so no wrong ones
      const double value = (*loss)(scores_of(labels, certainty), labels, 0).item<double>();
      EXPECT_GT(value, previous) << config << " at certainty " << certainty;
      previous = value;
    }
  }
}

TEST(LossSweep, EmptyLabelsGiveFiniteLossAndGradient) {
  for (const Json& config : variants()) {
    const auto loss = make_loss(config, kData);
    auto scores = drawn_scores().requires_grad_();
    const auto value = (*loss)(scores, torch::zeros({2, 3, 2, 3}, torch::kInt64), 0);
    value.backward();
    EXPECT_TRUE(std::isfinite(value.item<double>())) << config;
    EXPECT_GE(value.item<double>(), 0) << config;
    EXPECT_TRUE(torch::isfinite(scores.grad()).all().item<bool>()) << config;
  }
}

TEST(LossSweep, IgnoredVoxelsCountNowhere) {
  for (const Json& config : variants()) {
    if (config["name"] == "dice_bce_boundary") continue;         // its bands need every neighbour
    if (config["name"] == "cross_pseudo_supervision") continue;  // its pseudo labels are of every voxel
    LossData data = kData;
    data.ignores = true;
    const auto loss = make_loss(config, data);
    const auto labels = drawn_labels().narrow(0, 0, 1), scores = drawn_scores().narrow(0, 0, 1);
    const auto kept_labels = labels.narrow(1, 0, 2), kept_scores = scores.narrow(2, 0, 2);
    auto marked = labels.clone();
    marked.select(1, 2).fill_(kIgnoredClass);
    auto changed = scores.clone();
    changed.select(2, 2).fill_(17);
    EXPECT_NEAR((*loss)(changed, marked, 0).item<double>(),
                (*loss)(kept_scores, kept_labels, 0).item<double>(), 1e-12)
        << config;
    auto all_ignored = scores.clone().requires_grad_();
    (*loss)(all_ignored, torch::full_like(labels, kIgnoredClass), 0).backward();
    EXPECT_TRUE(torch::isfinite(all_ignored.grad()).all().item<bool>()) << config;
  }
}

TEST(LossSweep, SettingsAreCompletedAndMisspeltOnesRefused) {
  for (const LossEntry& entry : losses()) {
    EXPECT_EQ(complete_loss_settings({{"name", entry.name}}), config_of(entry));
    EXPECT_FALSE(entry.documentation().empty());
    EXPECT_THROW(make_loss({{"name", entry.name}, {"epsylon", 1}}, kData), UsageError);
  }
  EXPECT_THROW(make_loss({{"name", "dise"}}), UsageError);
  EXPECT_THROW(make_loss(Json::object()), UsageError);
}

TEST(Dice, FollowsItsFormula) {
  // Two voxels, two classes, p = 1/2 everywhere, labels 0 and 1: (2 * 0.5 + eps) / (1 + 1 + eps) for both
  // classes.
  const auto scores = torch::zeros({1, 2, 2}, torch::kFloat64);
  const auto labels = torch::tensor({0, 1}, torch::kInt64).view({1, 2});
  DiceSettings settings;
  settings.epsilon = 0.5;
  EXPECT_NEAR(dice_loss(scores, labels, settings).item<double>(), 1 - 1.5 / 2.5, 1e-12);
}

TEST(Dice, SquaredSumsSquaresOfProbabilities) {
  // p = (e / (1 + e), 1 / (1 + e)) and (1/2, 1/2), labels 0 and 1.
  const auto scores = torch::tensor({1.0, 0.0, 0.0, 0.0}, torch::kFloat64).view({1, 2, 2});
  const auto labels = torch::tensor({0, 1}, torch::kInt64).view({1, 2});
  const double p = std::exp(1.0) / (1 + std::exp(1.0)), q = 1 - p;
  DiceSettings settings{.squared = true};
  const double eps = settings.epsilon;
  const double background = (2 * p + eps) / (p * p + 0.25 + 1 + eps),
               structure = (2 * 0.5 + eps) / (q * q + 0.25 + 1 + eps);
  EXPECT_NEAR(dice_loss(scores, labels, settings).item<double>(), 1 - (background + structure) / 2, 1e-12);
}

TEST(Dice, AbsentClassCountsOnlyWhenAsked) {
  // Class 1 is absent but predicted: with present_only only the background's Dice counts.
  const auto scores = torch::tensor({0.0, 0.0}, torch::kFloat64).view({1, 2, 1});
  const auto labels = torch::zeros({1, 1}, torch::kInt64);
  DiceSettings settings;
  EXPECT_NEAR(dice_loss(scores, labels, settings).item<double>(), 1 - 1 / 1.5, 1e-4);
  settings.present_only = false;
  EXPECT_NEAR(dice_loss(scores, labels, settings).item<double>(), ((1 - 1 / 1.5) + 1) / 2, 1e-4);
  settings.present_only = true;
  settings.background = false;
  EXPECT_EQ(dice_loss(scores, labels, settings).item<double>(), 0);
}

TEST(Dice, PoolingOverTheBatchDiffersFromTheMeanOverSamples) {
  const auto labels = torch::tensor({0, 0, 0, 1}, torch::kInt64).view({2, 2});
  const auto scores =
      torch::tensor({1.0, 0.0, 0.0, 1.0, 2.0, 0.0, 1.0, 0.0}, torch::kFloat64).view({2, 2, 2});
  DiceSettings pooled, each;
  each.pool_batch = false;
  EXPECT_GT(std::abs((dice_loss(scores, labels, pooled) - dice_loss(scores, labels, each)).item<double>()),
            1e-3);
}

TEST(CrossEntropy, WeightsByMedianFrequency) {
  const auto weights = median_frequency_weights({100, 10, 0, 20});
  EXPECT_EQ(weights, (std::vector<double>{0.2, 2, 0, 1}));
  EXPECT_EQ(median_frequency_weights({8, 2}), (std::vector<double>{5.0 / 8, 2.5}));
  EXPECT_THROW(median_frequency_weights({0, 0}), Error);
}

TEST(CrossEntropy, EqualsTheWeightedMeanOfMinusLogP) {
  const auto scores = torch::tensor({0.0, 1.0, 2.0, 0.5}, torch::kFloat64).view({1, 2, 2});
  const auto labels = torch::tensor({1, 0}, torch::kInt64).view({1, 2});
  // voxel 0: scores (0, 2), label 1; voxel 1: scores (1, 0.5), label 0.
  const double a = -std::log(std::exp(2.0) / (1 + std::exp(2.0))), b = -std::log(1 / (1 + std::exp(-0.5)));
  EXPECT_NEAR(weighted_cross_entropy(scores, labels, {}).item<double>(), (a + b) / 2, 1e-12);
  const auto weights = torch::tensor({3.0, 1.0}, torch::kFloat64);
  EXPECT_NEAR(weighted_cross_entropy(scores, labels, weights).item<double>(), (a + 3 * b) / 4, 1e-12);
  EXPECT_THROW(weighted_cross_entropy(scores, labels, torch::ones({3})), UsageError);
  EXPECT_THROW(make_loss({{"name", "cross_entropy"}, {"weighting", "given"}}), UsageError);
  EXPECT_THROW(make_loss({{"name", "cross_entropy"}, {"weighting", "median_frequency"}}), UsageError);
}

TEST(DiceCrossEntropy, LeavesTheCrossEntropyOutAfterTheFirstEpochs) {
  const auto loss = make_loss({{"name", "dice_cross_entropy"}, {"cross_entropy_epochs", 1}});
  const auto dice = make_loss({{"name", "dice"}});
  const auto entropy = make_loss({{"name", "cross_entropy"}});
  const auto scores = drawn_scores();
  const auto labels = drawn_labels();
  EXPECT_NEAR((*loss)(scores, labels, 0).item<double>(),
              ((*dice)(scores, labels, 0) + (*entropy)(scores, labels, 0)).item<double>(), 1e-12);
  EXPECT_EQ((*loss)(scores, labels, 1).item<double>(), (*dice)(scores, labels, 1).item<double>());
}

TEST(SlicePresence, AsksForEachSliceWhetherItHoldsTheClass) {
  // Slices along the last axis: the first holds the structure, the second does not.
  auto labels = torch::zeros({1, 2, 2, 2}, torch::kInt64);
  labels[0][1][0][0] = 1;
  const auto scores = torch::tensor({0.5, -1.0, -2.0, 0.25, 0.1, -3.0, 0.0, -0.5}, torch::kFloat64)
                          .view({1, 1, 2, 2, 2});  // largest 0.5 and 0.25
  const double present = std::log(1 + std::exp(-0.5)), absent = std::log(1 + std::exp(0.25));
  const auto value = [&](double weight) {
    return (*make_loss({{"name", "slice_presence"}, {"positive_weight", weight}}))(scores, labels, 0)
        .item<double>();
  };
  EXPECT_NEAR(value(1), (present + absent) / 2, 1e-12);
  EXPECT_NEAR(value(3), (3 * present + absent) / 2, 1e-12);
  auto moved = torch::zeros_like(labels);  // where in the slice does not matter
  moved[0][0][1][0] = 1;
  EXPECT_EQ((*make_loss({{"name", "slice_presence"}}))(scores, moved, 0).item<double>(), value(1));
}

/// Scores of three networks for two voxels and two classes; what is right depends on whom one asks.
std::vector<torch::Tensor> three_scores() {
  std::vector<torch::Tensor> scores;
  for (const auto& values : {std::vector<double>{2, 0, 0, 1}, {0, 0, 3, 1}, {1, 2, 0, 0}})
    scores.push_back(torch::tensor(values, torch::kFloat64).view({1, 2, 2}));
  return scores;
}

TEST(CrossPseudoSupervision, PseudoLabelsAreTheLargestOfTheMixedProbabilities) {
  const auto scores = three_scores();
  const auto labels = [&](const std::vector<double>& mix) {
    const auto found = pseudo_labels(scores, mix);
    EXPECT_FALSE(found.requires_grad());
    return std::vector<int64_t>{found[0][0].item<int64_t>(), found[0][1].item<int64_t>()};
  };
  EXPECT_EQ(labels({1, 0, 0}), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(labels({0, 1, 0}), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(labels({0, 0, 1}), (std::vector<int64_t>{0, 0}));
  // Voxel 0: p of class 1 is 0.12 and 0.95, so the mean is above 1/2; the third brings it below.
  EXPECT_EQ(labels({0.5, 0.5, 0}), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(labels({0.4, 0.4, 0.2}), (std::vector<int64_t>{0, 1}));
}

TEST(CrossPseudoSupervision, TheMixIsDrawnAnewAndRepeatable) {
  torch::manual_seed(7);
  const auto first = drawn_mix(3), second = drawn_mix(3);
  EXPECT_NE(first, second);
  torch::manual_seed(7);
  EXPECT_EQ(drawn_mix(3), first);
  EXPECT_EQ(drawn_mix(1), std::vector<double>{1});
  std::vector<double> means(3, 0);
  for (int i = 0; i < 3000; ++i) {
    const auto mix = drawn_mix(3);
    EXPECT_NEAR(mix[0] + mix[1] + mix[2], 1, 1e-12);
    for (size_t m = 0; m < 3; ++m) {
      EXPECT_GE(mix[m], 0);
      means[m] += mix[m] / 3000;
    }
  }
  // Each piece has mean 1/3 and variance 1/18.
  for (const double mean : means) EXPECT_NEAR(mean, 1.0 / 3, 5 * std::sqrt(1.0 / 18 / 3000));
}

TEST(CrossPseudoSupervision, IsTheSumOfEachNetworksPartsForTheMixThatItDraws) {
  const auto entry = make_loss({{"name", "cross_pseudo_supervision"}, {"pseudo_weight", 0.5}});
  const auto& loss = dynamic_cast<const JointLoss&>(*entry);
  const auto scores = three_scores();
  const auto classes = torch::tensor({int64_t{1}, int64_t{kIgnoredClass}}, torch::kInt64).view({1, 2});
  torch::manual_seed(11);
  const double found = loss.of_members(scores, classes).item<double>();
  torch::manual_seed(11);
  const auto pseudo = pseudo_labels(scores, drawn_mix(3));
  const DiceSettings dice{.present_only = false, .squared = true};
  double expected = 0;
  for (const auto& one : scores)
    expected +=
        (weighted_cross_entropy(one, classes, {}) + 0.5 * dice_loss(one, pseudo, dice)).item<double>();
  EXPECT_NEAR(found, expected, 1e-12);
}

TEST(CrossPseudoSupervision, UnlabelledVoxelsTeachThroughThePseudoLabelsAlone) {
  const auto classes = torch::tensor({int64_t{1}, int64_t{kIgnoredClass}}, torch::kInt64).view({1, 2});
  const std::vector<double> mix{0.2, 0.3, 0.5};
  const DiceSettings dice{.present_only = false, .squared = true};
  auto scores = three_scores();
  for (auto& one : scores) one.requires_grad_();
  for (const MemberLosses& one : member_losses(scores, classes, mix, dice)) one.cross_entropy.backward();
  for (const auto& one : scores) {
    EXPECT_NE(one.grad()[0][0][0].item<double>(), 0);
    EXPECT_EQ(one.grad().select(2, 1).abs().max().item<double>(), 0);
  }
  for (const MemberLosses& one : member_losses(scores, classes, mix, dice)) one.dice.backward();
  for (const auto& one : scores) EXPECT_GT(one.grad().select(2, 1).abs().max().item<double>(), 0);
}

TEST(CrossPseudoSupervision, ANetworkLearnsFromTheOthersLabelsNotThroughTheirScores) {
  auto scores = three_scores();
  for (auto& one : scores) one.requires_grad_();
  const auto classes = torch::zeros({1, 2}, torch::kInt64);
  member_losses(scores, classes, {0.2, 0.3, 0.5}, {})[0].dice.backward();
  EXPECT_GT(scores[0].grad().abs().max().item<double>(), 0);
  EXPECT_FALSE(scores[1].grad().defined());
  EXPECT_FALSE(scores[2].grad().defined());
}

TEST(CrossPseudoSupervision, RefusesScoresOfSeveralScales) {
  const auto entry = make_loss({{"name", "cross_pseudo_supervision"}});
  const auto& loss = dynamic_cast<const JointLoss&>(*entry);
  EXPECT_THROW(loss.of_members({torch::zeros({1, 2, 4, 4}), torch::zeros({1, 2, 2, 2})},
                               torch::zeros({1, 4, 4}, torch::kInt64)),
               UsageError);
}

/// The parts of the loss of 0 and 1 labels, written out pixel by pixel on lists.
struct WrittenOut {
  double dice, bce, masked, weighted;
};

WrittenOut written_out(const torch::Tensor& x_YX, const torch::Tensor& y_YX, int64_t radius, bool gradient) {
  const int64_t height = x_YX.size(0), width = x_YX.size(1);
  double p_sum = 0, y_sum = 0, overlap = 0, bce_sum = 0, band_sum = 0, band_bce = 0, weighted = 0;
  for (int64_t r = 0; r < height; ++r)
    for (int64_t c = 0; c < width; ++c) {
      bool any_on = false, all_on = true;
      for (int64_t i = std::max<int64_t>(0, r - radius); i <= std::min(height - 1, r + radius); ++i)
        for (int64_t j = std::max<int64_t>(0, c - radius); j <= std::min(width - 1, c + radius); ++j) {
          const bool on = y_YX[i][j].item<int64_t>() != 0;
          any_on = any_on || on;
          all_on = all_on && on;
        }
      const bool y = y_YX[r][c].item<int64_t>() != 0;
      const bool band = any_on && !(gradient ? all_on : y);
      const double p = 1 / (1 + std::exp(-x_YX[r][c].item<double>()));
      const double bce = -std::log(y ? p : 1 - p);
      p_sum += p;
      y_sum += y;
      overlap += y ? p : 0;
      bce_sum += bce;
      band_sum += band;
      band_bce += band ? bce : 0;
      weighted += (band ? 5 : 1) * bce;
    }
  const auto n = static_cast<double>(height * width);
  return {1 - (2 * overlap + 1) / (p_sum + y_sum + 1), bce_sum / n, band_bce / std::max(1.0, band_sum),
          weighted / n};
}

TEST(DiceBceBoundary, FollowsItsFormulasWithOneMap) {
  torch::manual_seed(5);
  const auto x = torch::randn({1, 1, 9, 13}, torch::kFloat64);
  auto y = torch::zeros({1, 9, 13}, torch::kInt64);
  y.slice(1, 2, 7).slice(2, 0, 6).fill_(1);  // touches an edge of the picture, which is no border of the mask
  for (const bool gradient : {true, false}) {
    const WrittenOut expected = written_out(x[0][0], y[0], 2, gradient);
    Json config = {
        {"name", "dice_bce_boundary"}, {"radius", 2}, {"band", gradient ? "gradient" : "dilation"}};
    const auto value = [&] { return (*make_loss(config))(x, y, 0).item<double>(); };
    EXPECT_NEAR(value(), expected.dice + expected.bce + expected.masked, 1e-12);
    config["form"] = "weighted";
    EXPECT_NEAR(value(), expected.dice + expected.bce + expected.weighted, 1e-12);
    config["dice_weight"] = 0.0;
    config["bce_weight"] = 0.0;
    EXPECT_NEAR(value(), expected.weighted, 1e-12);
  }
}

TEST(DiceBceBoundary, OneMapIsTwoMapsWithANullScoreOfTheBackground) {
  torch::manual_seed(6);
  const auto x = torch::randn({2, 1, 8, 8}, torch::kFloat64);
  const auto y = torch::randint(0, 2, {2, 8, 8}, torch::kInt64);
  const auto loss = make_loss({{"name", "dice_bce_boundary"}});
  EXPECT_NEAR((*loss)(x, y, 0).item<double>(),
              (*loss)(torch::cat({torch::zeros_like(x), x}, 1), y, 0).item<double>(), 1e-12);
}

TEST(DiceBceBoundary, StaysFiniteWhereTheSigmoidIsFull) {
  auto x = torch::full({1, 1, 4, 4}, -200.0, torch::kFloat32).requires_grad_();
  const auto value =
      (*make_loss({{"name", "dice_bce_boundary"}}))(x, torch::ones({1, 4, 4}, torch::kInt64), 0);
  value.backward();
  EXPECT_NEAR(value.item<double>(), 1 - 1.0 / 17 + 200, 1e-4);  // no border in sight, so no band
  EXPECT_TRUE(torch::isfinite(x.grad()).all().item<bool>());
}

TEST(DiceBceBoundary, OtherLossesRefuseOneMap) {
  const auto x = torch::zeros({1, 1, 4, 4});
  const auto y = torch::ones({1, 4, 4}, torch::kInt64);
  for (const char* name : {"dice", "cross_entropy", "dice_cross_entropy"})
    EXPECT_THROW((*make_loss({{"name", name}}))(x, y, 0), UsageError) << name;
}

TEST(DiceBinaryCrossEntropy, RegionsMayOverlap) {
  // Channel 0 asks for classes 1 and 2, channel 1 for class 2: with all scores 0 every cost is ln 2.
  const auto loss =
      make_loss({{"name", "dice_binary_cross_entropy"}, {"dice_weight", 0.0}}, {{}, {{1, 2}, {2}}});
  const auto labels = torch::tensor({0, 1, 2}, torch::kInt64).view({1, 3});
  EXPECT_NEAR((*loss)(torch::zeros({1, 2, 3}, torch::kFloat64), labels, 0).item<double>(), std::log(2.0),
              1e-12);
  auto right = torch::tensor({-60.0, 60.0, 60.0, -60.0, -60.0, 60.0}, torch::kFloat64).view({1, 2, 3});
  EXPECT_NEAR((*loss)(right, labels, 0).item<double>(), 0, 1e-12);
  EXPECT_THROW((*loss)(torch::zeros({1, 3, 3}, torch::kFloat64), labels, 0), UsageError);
}

TEST(DiceBinaryCrossEntropy, WithAnIgnoreLabelItIsTheSumOverRegionsInEveryBatch) {
  const auto labels = torch::tensor({0, 1, 2}, torch::kInt64).view({1, 3});
  auto marked = labels.clone();
  marked[0][1] = kIgnoredClass;
  const auto loss =
      make_loss({{"name", "dice_binary_cross_entropy"}, {"dice_weight", 0.0}}, {{}, {{1, 2}, {2}}, true});
  const auto scores = torch::zeros({1, 2, 3}, torch::kFloat64);
  EXPECT_NEAR((*loss)(scores, labels, 0).item<double>(), 2 * std::log(2.0), 1e-12);
  EXPECT_NEAR((*loss)(scores, marked, 0).item<double>(), 2 * std::log(2.0), 1e-12);
}

TEST(Losses, SayWhatTheyCannotLearn) {
  const LossData regions{{}, {{1, 2}, {2}}};
  for (const char* name : {"dice", "cross_entropy", "dice_cross_entropy", "dice_bce_boundary"})
    EXPECT_THROW(make_loss({{"name", name}}, regions), UsageError) << name;
  EXPECT_THROW(make_loss({{"name", "dice_bce_boundary"}}, {{}, {}, true}), UsageError);
}

TEST(DeepSupervision, WeightsAreHalvedAndTheCoarsestIsLeftOut) {
  EXPECT_EQ(deep_supervision_weights(1), std::vector<double>{1});
  EXPECT_EQ(deep_supervision_weights(2), (std::vector<double>{1, 0}));
  EXPECT_EQ(deep_supervision_weights(3), (std::vector<double>{2.0 / 3, 1.0 / 3, 0}));
}

TEST(DeepSupervision, SumsTheScalesWithTheClassesOfTheirSize) {
  const auto loss = make_loss({{"name", "cross_entropy"}});
  torch::manual_seed(5);
  const auto fine = torch::randn({1, 2, 4, 4}, torch::kFloat64);
  const auto coarse = torch::randn({1, 2, 2, 2}, torch::kFloat64);
  const auto labels =
      torch::tensor({0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0}, torch::kInt64).view({1, 4, 4});
  const auto small = torch::tensor({0, 1, 1, 0}, torch::kInt64).view({1, 2, 2});
  const double expected = (0.75 * (*loss)(fine, labels, 0) + 0.25 * (*loss)(coarse, small, 0)).item<double>();
  EXPECT_NEAR(deeply_supervised(*loss, {fine, coarse}, {labels}, {0.75, 0.25}, 0).item<double>(), expected,
              1e-12);
  EXPECT_NEAR(deeply_supervised(*loss, {fine, coarse}, {labels, small}, {0.75, 0.25}, 0).item<double>(),
              expected, 1e-12);
  EXPECT_THROW(deeply_supervised(*loss, {fine, coarse}, {labels}, {1}, 0), UsageError);
}

}  // namespace
}  // namespace mambaseg
