#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/data/datasets.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

std::vector<Case> drawn_cases(const std::vector<std::string>& ids) {
  std::vector<Case> cases;
  for (const auto& id : ids) cases.push_back({id, {id + ".nii.gz"}, id + "_labels.nii.gz", ""});
  return cases;
}

std::vector<std::string> ids_of(const std::vector<Case>& cases) {
  std::vector<std::string> ids;
  for (const Case& one : cases) ids.push_back(one.id);
  return ids;
}

std::string refusal(const std::vector<Case>& cases, const SplitSettings& settings) {
  try {
    split_cases(cases, settings);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Splits, FoldsCoverEveryCaseOnceAndRepeatsDiffer) {
  const auto cases = drawn_cases({"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
  SplitSettings settings;
  settings.folds = 3;
  settings.test_fraction = 0.1;
  std::vector<std::string> validated;
  const auto test = ids_of(split_cases(cases, settings).test);
  EXPECT_EQ(test.size(), 1U);
  for (settings.fold = 0; settings.fold < 3; ++settings.fold) {
    const Split split = split_cases(cases, settings);
    EXPECT_EQ(split.train.size() + split.validation.size(), 9U);
    EXPECT_EQ(ids_of(split.test), test);
    for (const auto& id : ids_of(split.validation)) validated.push_back(id);
  }
  std::sort(validated.begin(), validated.end());
  EXPECT_EQ(validated.size(), 9U);
  EXPECT_EQ(std::unique(validated.begin(), validated.end()), validated.end());
  EXPECT_THAT(refusal(cases, settings), HasSubstr("3 of 3"));
  settings = {};
  const auto first = ids_of(split_cases(cases, settings).validation);
  settings.repeat = 1;
  EXPECT_NE(ids_of(split_cases(cases, settings).validation), first);
}

TEST(Splits, FractionIsSeededAndDisjoint) {
  const auto cases = drawn_cases({"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
  SplitSettings settings;
  settings.validation_fraction = 0.3;
  const Split first = split_cases(cases, settings), again = split_cases(cases, settings);
  EXPECT_EQ(first.validation.size(), 3u);
  EXPECT_EQ(first.train.size(), 7u);
  EXPECT_EQ(ids_of(first.train), ids_of(again.train));
  auto all = ids_of(first.train);
  const auto held = ids_of(first.validation);
  all.insert(all.end(), held.begin(), held.end());
  EXPECT_THAT(all, testing::UnorderedElementsAreArray(ids_of(cases)));
  bool differs = false;
  for (settings.seed = 1; settings.seed < 6; ++settings.seed)
    differs = differs || ids_of(split_cases(cases, settings).train) != ids_of(first.train);
  EXPECT_TRUE(differs);
}

TEST(Splits, OneCaseTrains) {
  const Split split = split_cases(drawn_cases({"only"}), {});
  EXPECT_EQ(split.train.size(), 1u);
  EXPECT_TRUE(split.validation.empty());
}

TEST(Splits, GroupsStayTogether) {
  SplitSettings settings;
  settings.validation_fraction = 0.5;
  settings.group = "^(sub-[0-9]+)";
  for (settings.seed = 0; settings.seed < 8; ++settings.seed) {
    const Split split = split_cases(drawn_cases({"sub-1_a", "sub-1_b", "sub-2_a", "sub-2_b"}), settings);
    ASSERT_EQ(split.train.size(), 2u);
    EXPECT_EQ(split.train[0].id.substr(0, 5), split.train[1].id.substr(0, 5));
  }
  settings.group = "(";
  EXPECT_THROW(split_cases(drawn_cases({"a"}), settings), UsageError);
}

TEST(Splits, ScansOfOneSubjectStayTogetherAndListsThatPartThemAreRefused) {
  auto cases = drawn_cases({"sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1", "sub-2_ses-2"});
  for (Case& one : cases) one.subject = one.id.substr(0, 5);
  SplitSettings settings;
  settings.validation_fraction = 0.5;
  for (settings.seed = 0; settings.seed < 8; ++settings.seed) {
    const Split split = split_cases(cases, settings);
    ASSERT_EQ(split.train.size(), 2u);
    EXPECT_EQ(split.train[0].subject, split.train[1].subject);
  }
  settings.train = {"sub-1_ses-1", "sub-2_ses-1", "sub-2_ses-2"};
  settings.validation = {"sub-1_ses-2"};
  EXPECT_THAT(refusal(cases, settings), HasSubstr("sub-1 has cases in training and validation"));
}

TEST(Splits, ListsAndFiles) {
  const auto cases = drawn_cases({"a", "b", "c"});
  SplitSettings settings;
  settings.validation = {"b"};
  EXPECT_THAT(ids_of(split_cases(cases, settings).train), testing::ElementsAre("a", "c"));

  const TemporaryFolder folder;
  settings = {};
  settings.file = folder / "splits.json";
  std::ofstream(settings.file) << R"([{"train": ["c"], "val": ["a", "b"]}, {"train": ["a"], "val": ["c"]}])";
  EXPECT_THAT(ids_of(split_cases(cases, settings).train), testing::ElementsAre("c"));
  EXPECT_THAT(ids_of(split_cases(cases, settings).validation), testing::ElementsAre("a", "b"));
  std::ofstream(settings.file) << R"([{"train": ["c", "x"], "val": ["a"]}])";
  EXPECT_EQ(refusal(cases, settings), settings.file + ": no case is called x");
  std::ofstream(settings.file) << R"({"training": ["c"]})";
  EXPECT_THAT(refusal(cases, settings), HasSubstr("expected {\"train\""));
}

TEST(Splits, EightOneOneOfIsic2018IsThePapersSplit) {
  std::vector<std::string> ids;
  for (int i = 0; i < 2594; ++i) ids.push_back("ISIC_" + std::to_string(i));
  const auto cases = drawn_cases(ids);
  SplitSettings settings;
  settings.validation_fraction = settings.test_fraction = 0.1;
  const Split split = split_cases(cases, settings);
  EXPECT_EQ(split.train.size(), 2075u);
  EXPECT_EQ(split.validation.size(), 259u);
  EXPECT_EQ(split.test.size(), 260u);

  const TemporaryFolder folder;
  const std::string path = folder / "split.json";
  std::ofstream(path) << split_json(split);
  SplitSettings read;
  read.file = path;
  read.seed = 99;
  const Split back = split_cases(cases, read);
  EXPECT_EQ(ids_of(back.train), ids_of(split.train));
  EXPECT_EQ(ids_of(back.validation), ids_of(split.validation));
  EXPECT_EQ(ids_of(back.test), ids_of(split.test));
  EXPECT_EQ(read_split_file(path).test.size(), 260u);
}

TEST(Splits, SharesOfFewCasesNeverOverlap) {
  for (int n = 1; n < 40; ++n) {
    std::vector<std::string> ids;
    for (int i = 0; i < n; ++i) ids.push_back(std::to_string(i));
    SplitSettings settings;
    settings.validation_fraction = 0.25;
    settings.test_fraction = 0.25;
    const Split split = split_cases(drawn_cases(ids), settings);
    EXPECT_EQ(split.train.size() + split.validation.size() + split.test.size(), static_cast<size_t>(n));
    EXPECT_GE(split.train.size(), 1u) << n;
  }
}

TEST(Splits, CasesInNoListAreTold) {
  const auto cases = drawn_cases({"a", "b", "c", "d"});
  SplitSettings settings;
  EXPECT_EQ(unlisted_cases(split_cases(cases, settings), settings), "");
  settings.train = {"a"};
  settings.validation = {"c"};
  EXPECT_EQ(unlisted_cases(split_cases(cases, settings), settings),
            "2 cases are in no list of data.split and stay unused: b, d");
}

TEST(Splits, AllProblemsAreTold) {
  SplitSettings settings;
  settings.train = {"a", "x"};
  settings.validation = {"a", "y"};
  const std::string text = refusal(drawn_cases({"a"}), settings);
  EXPECT_THAT(text, HasSubstr("no case is called x"));
  EXPECT_THAT(text, HasSubstr("no case is called y"));
  EXPECT_THAT(text, HasSubstr("case a is listed twice"));
}

}  // namespace
}  // namespace mambaseg
