#include "mambaseg/data/label_scheme.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/data/declared_labels.h"
#include "mambaseg/data/preprocess.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;

Plan tumour_plan() {
  Plan plan;
  plan.conform = "none";
  plan.orientation = "RAS";
  plan.classes = {{"whole", {1, 2, 4}}, {"core", {2, 4}}, {"active", {4}}};
  plan.regions_class_order = {1, 2, 4};
  plan.ignore_label = 5;
  return plan;
}

TEST(LabelScheme, ClassesThatExcludeEachOther) {
  Plan plan;
  plan.classes = {{"hippocampus", {17, 53}}, {"pons", {3}}};
  const LabelScheme scheme(plan);
  EXPECT_EQ(scheme.class_of(53), 1);
  EXPECT_EQ(scheme.class_of(3), 2);
  EXPECT_EQ(scheme.class_of(9), LabelScheme::kUnknown);
  EXPECT_EQ(scheme.label_of(1), 17);
  EXPECT_THROW(scheme.label_of(3), Error);
  EXPECT_EQ(scheme.score_maps(), 3);
  EXPECT_THAT(scheme.structures(), ElementsAre(ElementsAre(1), ElementsAre(2)));
  const auto scores = torch::tensor({0.0, 2.0, 1.0}).view({1, 3, 1});
  EXPECT_EQ(scheme.decide(scheme.votes(scores)[0]).item<int64_t>(), 1);
}

TEST(LabelScheme, RegionsAreSetsOfLabels) {
  const LabelScheme scheme(tumour_plan());
  EXPECT_TRUE(scheme.regions());
  EXPECT_EQ(scheme.score_maps(), 3);
  EXPECT_EQ(scheme.class_count(), 3);
  EXPECT_EQ(scheme.class_of(4), 3);
  EXPECT_EQ(scheme.class_of(5), kIgnoredClass);
  EXPECT_EQ(scheme.label_of(3), 4);
  EXPECT_THAT(scheme.structures(), ElementsAre(ElementsAre(1, 2, 3), ElementsAre(2, 3), ElementsAre(3)));
  EXPECT_THAT(scheme.structure_voxels({10, 1, 2, 4}), ElementsAre(10, 7, 6, 4));
}

// Voxels: nothing; whole; whole and core; core alone, which is written all the same; all; exactly one half.
TEST(LabelScheme, LaterRegionsAreWrittenOverEarlierOnes) {
  const LabelScheme scheme(tumour_plan());
  const auto scores = torch::tensor({{-1.0, 1.0, 1.0, -1.0, 1.0, 0.0},
                                     {-1.0, -1.0, 1.0, 1.0, 1.0, 0.0},
                                     {-1.0, -1.0, -1.0, -1.0, 1.0, 0.0}})
                          .unsqueeze(0);
  const auto expected = torch::tensor({0, 1, 2, 2, 3, 0}, torch::kInt64);
  const auto votes = scheme.votes(scores)[0];
  EXPECT_TRUE(torch::equal(scheme.decide(votes), expected));
  EXPECT_TRUE(torch::equal(scheme.decide(votes * 7.5), expected));  // sums of overlapping patches
  EXPECT_NEAR(votes[1][1].item<double>(), 1 / (1 + std::exp(-1.0)), 1e-6);
  EXPECT_TRUE((votes[0] == 1).all().item<bool>());
  for (size_t region = 0; region < 3; ++region)
    EXPECT_EQ(scheme.label_of_structure(region), tumour_plan().regions_class_order[region]);
}

TEST(LabelScheme, LabelsBecomeClassesAndBack) {
  Geometry geometry;
  geometry.size = {6, 1, 1};
  Volume<int32_t> labels(geometry);
  labels.voxels = {0, 1, 2, 4, 5, 9};
  const Volume<uint8_t> classes = labels_to_classes(labels, geometry, tumour_plan());
  EXPECT_EQ(classes.voxels, (std::vector<uint8_t>{0, 1, 2, 3, kIgnoredClass, 0}));
  Volume<int32_t> predicted(geometry);
  predicted.voxels = {0, 1, 2, 3, 3, 0};
  EXPECT_EQ(classes_to_labels(predicted, geometry, tumour_plan()).voxels,
            (std::vector<int32_t>{0, 1, 2, 4, 4, 0}));
  Plan strict = tumour_plan();
  strict.unknown_labels = "error";
  EXPECT_THROW(labels_to_classes(labels, geometry, strict), Error);
}

TEST(LabelScheme, PlansThatCannotBeMeant) {
  const auto refused = [](auto&& change) {
    Plan plan = tumour_plan();
    change(plan);
    EXPECT_THROW(check_plan(plan), UsageError);
  };
  EXPECT_NO_THROW(check_plan(tumour_plan()));
  refused([](Plan& plan) { plan.regions_class_order.clear(); });  // overlap without order
  refused([](Plan& plan) { plan.regions_class_order.pop_back(); });
  refused([](Plan& plan) { plan.ignore_label = 2; });
  refused([](Plan& plan) { plan.classes[0].ids.push_back(0); });
  refused([](Plan& plan) { plan.classes[0].ids.clear(); });
}

TEST(DeclaredLabels, AreReadInBothDirectionsAndInTheOrderOfTheFile) {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& text) {
    std::ofstream(folder / "dataset.json") << text;
    return read_declared_labels(folder / "dataset.json");
  };
  const auto brats = read(R"({"labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "active": [3],
                              "ignore": 4}, "regions_class_order": [1, 2, 3]})");
  ASSERT_EQ(brats.classes.size(), 3u);
  EXPECT_EQ(brats.classes[0].name, "whole");  // not "active", the first of the alphabet
  EXPECT_THAT(brats.classes[1].ids, ElementsAre(2, 3));
  EXPECT_THAT(brats.regions_class_order, ElementsAre(1, 2, 3));
  EXPECT_EQ(brats.ignore_label, 4);
  const auto first = read(R"({"labels": {"0": "background", "1": "Anterior", "2": "Posterior"}})");
  ASSERT_EQ(first.classes.size(), 2u);
  EXPECT_EQ(first.classes[1].name, "Posterior");
  EXPECT_THAT(first.classes[1].ids, ElementsAre(2));
  EXPECT_TRUE(first.regions_class_order.empty());
  EXPECT_THAT(read(R"({"labels": {"a": 2.0}})").classes.at(0).ids, ElementsAre(2));
  EXPECT_THROW(read(R"({"labels": {"a": 1.5}})"), Error);
  EXPECT_THROW(read(R"({"labels": {"a": [1, "x"]}})"), Error);
  EXPECT_THROW(read(R"({"labels": {"a": []}})"), Error);
  EXPECT_THROW(read(R"({"labels": {"ignore": [3, 4]}})"), Error);
  EXPECT_THROW(read(R"({"labels": [1]})"), Error);
  EXPECT_THROW(read("{"), Error);
}

TEST(DeclaredLabels, FillAPlanWithoutClasses) {
  const TemporaryFolder folder;
  DatasetSettings dataset;
  dataset.folder = folder.string();
  Plan plan;
  take_declared_labels(plan, dataset);  // no dataset.json
  EXPECT_TRUE(plan.classes.empty());
  std::ofstream(folder / "dataset.json") << R"({"labels": {"background": 0, "w": [1, 2], "c": 2}})";
  EXPECT_THROW(take_declared_labels(plan, dataset), Error);  // regions without order
  std::ofstream(folder / "dataset.json")
      << R"({"labels": {"background": 0, "w": [1, 2], "c": 2}, "regions_class_order": [1, 3]})";
  EXPECT_THROW(take_declared_labels(plan, dataset), Error);  // no region "c" holds 3
  std::ofstream(folder / "dataset.json")
      << R"({"labels": {"background": 0, "w": [1, 2], "c": 2, "ignore": 3}, "regions_class_order": [1, 2]})";
  take_declared_labels(plan, dataset);
  EXPECT_EQ(plan.classes[0].name, "w");
  EXPECT_EQ(plan.ignore_label, 3);
  Plan own;
  own.classes = {{"mine", {2}}};
  take_declared_labels(own, dataset);
  EXPECT_EQ(own.classes.size(), 1u);
  EXPECT_EQ(own.ignore_label, 0);
}

}  // namespace
}  // namespace mambaseg
