#include "mambaseg/report/comparison.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

LabelScores scored(int32_t id, std::optional<double> dice) {
  return {id, dice ? Presence::both : Presence::absent, {}, {dice}};
}

/// One Dice value a case and label (1 and 2).
Method method(const std::string& name, const std::vector<std::array<std::optional<double>, 2>>& dice) {
  Method m{name, {}};
  m.evaluation.labels = {{1, "one", {}}, {2, "two", {}}};
  m.evaluation.metrics = {&metric_by_name("Dice")};
  for (size_t c = 0; c < dice.size(); ++c) {
    CaseScores one;
    one.files.name = "case" + std::to_string(c);
    one.labels = {scored(1, dice[c][0]), scored(2, dice[c][1])};
    m.evaluation.cases.push_back(one);
  }
  return m;
}

TEST(CompareMethods, TestsCaseMeansAndEveryLabel) {
  const Method a = method("a", {{0.9, 0.8}, {0.8, 0.7}, {0.7, 0.9}, {0.6, 0.5}, {0.9, 0.9}, {0.5, 0.7}});
  const Method b = method("b", {{0.8, 0.7}, {0.7, 0.5}, {0.6, 0.85}, {0.55, 0.4}, {0.7, 0.8}, {0.4, 0.6}});
  const Comparison c = compare_methods({a, b});
  ASSERT_EQ(c.overall.size(), 1u);
  ASSERT_EQ(c.by_label.size(), 2u);
  const PairedTest& test = c.overall[0];
  EXPECT_EQ(test.cases, 6);
  EXPECT_NEAR(test.difference, test.first_mean - test.second_mean, 1e-12);
  EXPECT_GT(test.difference_ci[0], 0);
  EXPECT_NEAR(test.test.p, 2 / 64.0, 1e-12);  // a is better in all of 6 cases
  EXPECT_EQ(test.test.effect, 1);
  EXPECT_EQ(test.p_holm, test.test.p);
  EXPECT_NEAR(c.by_label[0].p_holm, 2 * c.by_label[0].test.p, 1e-12);
  const Json json = comparison_json(c, "mambaseg compare", "1");
  EXPECT_EQ(json["by_label"][1]["label"], 2);
  EXPECT_TRUE(json["overall"][0]["label"].is_null());
}

TEST(CompareMethods, LeavingOutRightlyBeatsInventing) {
  const Method a = method("a", {{0.9, std::nullopt}, {0.9, std::nullopt}});
  const Method b = method("b", {{0.9, 0.0}, {0.9, std::nullopt}});
  const Comparison c = compare_methods({a, b});
  EXPECT_EQ(c.by_label[1].cases, 1);
  EXPECT_EQ(c.by_label[1].first_mean, 1);
  EXPECT_EQ(c.by_label[1].second_mean, 0);
  EXPECT_NEAR(c.overall[0].first_mean, (0.95 + 0.9) / 2, 1e-12);
}

TEST(CompareMethods, ComparesCommonCasesAndJoinsLabels) {
  Method a = method("a", {{0.9, 0.8}, {0.8, 0.7}, {0.7, 0.9}});
  Method b = method("b", {{0.8, 0.7}, {0.7, 0.5}});
  for (CaseScores& one : b.evaluation.cases) one.labels.pop_back();
  b.evaluation.labels.pop_back();
  const Comparison c = compare_methods({a, b});
  EXPECT_EQ(c.left_out, (std::vector<std::string>{"case2"}));
  EXPECT_EQ(c.methods[1].evaluation.labels.size(), 2u);
  EXPECT_EQ(c.by_label[0].cases, 2);
}

TEST(CompareMethods, RefusesOneMethodAndStrangers) {
  const Method a = method("a", {{0.9, 0.8}});
  EXPECT_THROW(compare_methods({a}), Error);
  Method other = a;
  other.evaluation.cases[0].files.name = "elsewhere";
  EXPECT_THROW(compare_methods({a, other}), Error);
  Method measured = a;
  measured.evaluation.metrics = {&metric_by_name("IoU")};
  EXPECT_THROW(compare_methods({a, measured}), Error);
}

}  // namespace
}  // namespace mambaseg
