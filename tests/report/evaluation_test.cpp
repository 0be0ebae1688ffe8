#include "mambaseg/report/evaluation.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"
#include "mambaseg/report/summary.h"
#include "tests/io/temporary_folder.h"
#include "tests/metrics/blobs.h"

namespace mambaseg {
namespace {

/// Folders `r` and `p` with three cases: a is perfect for label 1 and lacks label 2, b has a shifted label 1,
/// c has a label 5 that the reference does not know.
class Set : public testing::Test {
 protected:
  Set() {
    std::filesystem::create_directory(folder / "r");
    std::filesystem::create_directory(folder / "p");
    Volume<int32_t> a(geometry);
    draw_ball(a, {5, 5, 4}, 3, 1);
    Volume<int32_t> with_two = a;
    draw_ball(with_two, {12, 9, 5}, 2, 2);
    write_labels(folder / "r/a.nii.gz", with_two);
    write_labels(folder / "p/a.nii.gz", a);
    Volume<int32_t> moved(geometry);
    draw_ball(moved, {6, 5, 4}, 3, 1);
    write_labels(folder / "r/b.nii.gz", a);
    write_labels(folder / "p/b.nii.gz", moved);
    write_labels(folder / "r/c.nii.gz", a);
    a.at(15, 12, 8) = 5;
    write_labels(folder / "p/c.nii.gz", a);
  }
  Pairing pairs() const { return pair_cases(folder / "r", folder / "p"); }

  TemporaryFolder folder;
  Geometry geometry = grid({16, 13, 9}, {1, 1, 2});
  double diagonal = std::sqrt(15 * 15 + 12 * 12 + 16 * 16);
};

TEST_F(Set, AMissLowersTheMeanAndIsCounted) {
  EvaluationOptions options;
  options.metrics = {"Dice", "ASSD"};
  const Evaluation e = evaluate(pairs(), options);
  ASSERT_EQ(e.labels.size(), 3u);
  EXPECT_EQ(e.labels[1].id, 2);
  EXPECT_EQ(e.count(0, Presence::both), 3);
  EXPECT_EQ(e.count(1, Presence::missed), 1);
  EXPECT_EQ(e.count(1, Presence::absent), 2);
  EXPECT_EQ(e.count(2, Presence::spurious), 1);
  EXPECT_EQ(e.values(0, 1), (std::vector<double>{0}));
  EXPECT_EQ(e.values(1, 1), (std::vector<double>{diagonal}));
  EXPECT_EQ(e.values(0, 2), (std::vector<double>{0}));
  EXPECT_EQ(e.values(0, 0).size(), 3u);
  EXPECT_EQ(e.values(0, 0)[0], 1);
  EXPECT_LT(e.values(0, 0)[1], 1);
  const double label1 = describe(e.values(0, 0)).mean;
  EXPECT_DOUBLE_EQ(e.over_labels(0).mean, label1 / 3);
}

TEST_F(Set, IsTheSameWithManyThreadsAndReportsProgress) {
  EvaluationOptions options;
  const Evaluation one = evaluate(pairs(), options);
  options.threads = 7;
  int64_t last = 0;
  const Evaluation many = evaluate(pairs(), options, [&](const std::string&, int64_t done, int64_t total) {
    EXPECT_EQ(done, ++last);
    EXPECT_EQ(total, 3);
  });
  EXPECT_EQ(last, 3);
  EXPECT_EQ(summary_json(one, {}), summary_json(many, {}));
}

TEST(Regions, AreScoredAsTheUnionsOfTheirLabels) {
  const TemporaryFolder folder;
  Volume<int32_t> reference(grid({4, 2, 1}, {1, 1, 1})), prediction = reference;
  reference.voxels = {1, 2, 3, 0, 4, 4, 0, 0};
  prediction.voxels = {1, 1, 3, 2, 3, 0, 0, 0};
  write_labels(folder / "r.nii.gz", reference);
  write_labels(folder / "p.nii.gz", prediction);
  EvaluationOptions options;
  options.metrics = {"Dice", "HD95", "specificity"};
  options.labels = label_table_from_json(
      {{"labels", {{"background", 0}, {"whole", {1, 2, 3}}, {"core", {2, 3}}, {"active", 3}, {"ignore", 4}}},
       {"regions_class_order", {3, 2, 1}}},  // parsed JSON is sorted: active, core, whole
      "test");
  std::vector<std::string> warnings;
  const Evaluation e = evaluate(pair_cases(folder / "r.nii.gz", folder / "p.nii.gz"), options, {},
                                [&](const std::string& line) { warnings.push_back(line); });
  ASSERT_EQ(e.labels.size(), 3u);
  EXPECT_EQ(e.labels[0].name, "whole");
  EXPECT_EQ(e.labels[2].name, "active");
  EXPECT_DOUBLE_EQ(e.values(0, 0)[0], 2 * 3.0 / (3 + 4));
  EXPECT_DOUBLE_EQ(e.values(0, 1)[0], 2 * 1.0 / (2 + 2));
  EXPECT_DOUBLE_EQ(e.values(0, 2)[0], 1);
  EXPECT_EQ(e.cases[0].labels[1].label, 2);
  EXPECT_EQ(e.cases[0].labels[2].counts.tn, 5);  // of six voxels that are not ignored
  EXPECT_DOUBLE_EQ(e.values(2, 1)[0], 3.0 / 4);
  EXPECT_TRUE(warnings.empty()) << warnings.front();
  EXPECT_EQ(summary_json(e, {})["labels"]["1"], "whole");
}

TEST_F(Set, ATableSaysWhatIsScoredAndTheRestIsNamed) {
  EvaluationOptions options;
  options.metrics = {"Dice"};
  options.labels = label_table_from_json({{"labels", {{"ball", 1}, {"never", 9}}}}, "test");
  std::string warned;
  const Evaluation e = evaluate(pairs(), options, {}, [&](const std::string& line) { warned += line; });
  ASSERT_EQ(e.labels.size(), 2u);
  EXPECT_TRUE(e.values(0, 1).empty());
  EXPECT_EQ(e.over_labels(0).n, 1);
  EXPECT_NE(warned.find("2, 5"), std::string::npos) << warned;
}

TEST_F(Set, ErrorsNameTheCase) {
  const auto message = [&](const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  write_labels(folder / "p/b.nii.gz", Volume<int32_t>(grid({16, 13, 8})));
  EXPECT_NE(message([&] { evaluate(pairs(), {}); }).find("case b"), std::string::npos);
  Volume<int32_t> negative(geometry);
  negative.voxels[3] = -2;
  write_labels(folder / "p/b.nii.gz", negative);
  const std::string line = message([&] { evaluate(pairs(), {}); });
  EXPECT_NE(line.find("b.nii.gz"), std::string::npos) << line;
  EXPECT_NE(line.find("negative"), std::string::npos) << line;
  write_volume(folder / "p/b.nii.gz", Volume<float>(geometry, 0.5F));
  EXPECT_NE(message([&] { evaluate(pairs(), {}); }).find("b.nii.gz"), std::string::npos);
}

TEST_F(Set, ResamplesOnlyWhenAsked) {
  Geometry fine = grid({32, 26, 18}, {0.5, 0.5, 1});
  fine.voxel_to_ras_mm.offset = {-0.25, -0.25, -0.5};
  Volume<int32_t> doubled(fine);
  const Volume<int32_t> a = read_labels(folder / "p/a.nii.gz");
  for (int64_t k = 0; k < 18; ++k)
    for (int64_t j = 0; j < 26; ++j)
      for (int64_t i = 0; i < 32; ++i) doubled.at(i, j, k) = a.at(i / 2, j / 2, k / 2);
  write_labels(folder / "p/b.nii.gz", doubled);
  EXPECT_THROW(evaluate(pairs(), {}), Error);
  EvaluationOptions options;
  options.resample = true;
  std::string warned;
  const Evaluation e = evaluate(pairs(), options, {}, [&](const std::string& line) { warned += line; });
  EXPECT_EQ(e.cases[1].labels[0].values[0], 1);  // the reference of b is a
  EXPECT_NE(warned.find("case b"), std::string::npos);
}

TEST_F(Set, NothingLabelledIsAnError) {
  const Pairing one{{{"x", folder / "empty.nii", folder / "empty.nii"}}, {}, {}};
  write_labels(folder / "empty.nii", Volume<int32_t>(geometry));
  EXPECT_THROW(evaluate(one, {}), Error);
}

TEST_F(Set, TheSummaryHasTheShapeOfNnUNet) {
  const Json json = summary_json(evaluate(pairs(), {}), {"mambaseg evaluate", "1.2"});
  EXPECT_NEAR(json["mean"]["1"]["Dice"].get<double>(), json["spread"]["1"]["Dice"]["mean"].get<double>(),
              1e-15);
  const Json& first = json["metric_per_case"][0];
  EXPECT_EQ(first["reference_file"], folder / "r/a.nii.gz");
  EXPECT_EQ(first["metrics"]["1"]["Dice"], 1);
  EXPECT_EQ(first["metrics"]["1"]["FP"], 0);
  EXPECT_EQ(first["metrics"]["1"]["n_ref"], first["metrics"]["1"]["n_pred"]);
  EXPECT_EQ(first["metrics"]["2"]["presence"], "missed");
  EXPECT_TRUE(first["metrics"]["5"]["Dice"].is_null());
  EXPECT_EQ(first["metrics"]["5"]["TN"], 16 * 13 * 9);
  EXPECT_EQ(json["presence"]["2"]["absent"], 2);
  EXPECT_EQ(json["version"], "1.2");
  const Evaluation scored = evaluate(pairs(), {});
  for (size_t l = 0; l < scored.labels.size(); ++l) {
    const Json& agreement = json["volume_agreement"][std::to_string(scored.labels[l].id)];
    const size_t n = scored.volumes(l).predicted.size();
    EXPECT_EQ(scored.count(l, Presence::absent) + static_cast<int64_t>(n),
              static_cast<int64_t>(scored.cases.size()));
    EXPECT_EQ(agreement.is_null(), n < 2);
    EXPECT_EQ(agreement.is_null() ? n : agreement["n"].get<size_t>(), n);
  }
}

TEST_F(Set, TheTextTableHasALineForEachStructure) {
  EvaluationOptions options;
  options.labels = label_table_from_json({{"labels", {{"ball", 1}, {"never", 9}}}}, "test");
  const std::string table = text_table(evaluate(pairs(), options), {"Dice", "ASSD"});
  EXPECT_NE(table.find("ball"), std::string::npos);
  EXPECT_NE(table.find("ASSD mm"), std::string::npos);
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 4);
}

TEST_F(Set, AThresholdMakesMasks) {
  Volume<int32_t> mask(geometry);
  draw_ball(mask, {5, 5, 4}, 3, 255);
  mask.at(0, 0, 0) = 40;  // as JPEG leaves it
  write_labels(folder / "mask.nii", mask);
  EvaluationOptions options;
  options.threshold = 127;
  const Evaluation e = evaluate(pair_cases(folder / "r/b.nii.gz", folder / "mask.nii"), options);
  ASSERT_EQ(e.labels.size(), 1u);
  EXPECT_EQ(e.values(0, 0), (std::vector<double>{1}));
}

TEST_F(Set, PairsByNameAndListsTheRest) {
  std::filesystem::remove(folder / "p/a.nii.gz");
  write_labels(folder / "p/z.nii", Volume<int32_t>(geometry));
  write_bytes(folder / "p/notes.txt", "x");
  const Pairing pairing = pairs();
  ASSERT_EQ(pairing.pairs.size(), 2u);
  EXPECT_EQ(pairing.pairs[0].name, "b");
  EXPECT_EQ(pairing.missing, (std::vector<std::string>{"a"}));
  EXPECT_EQ(pairing.extra, (std::vector<std::string>{"z"}));
}

TEST(Pairing, FilesOfEveryVolumeFormat) {
  const TemporaryFolder folder;
  for (const char* name : {"r/a.nii.gz", "r/b.mhd", "r/b.raw", "r/c.hdr", "r/c.img", "p/a.seg.nrrd",
                           "p/a.nrrd", "p/b.nhdr", "p/b.raw", "p/c.nii.gz", "p/c.png"}) {
    std::filesystem::create_directories(std::filesystem::path(folder / name).parent_path());
    write_bytes(folder / name, "x");
  }
  const Pairing pairing = pair_cases(folder / "r", folder / "p");
  ASSERT_EQ(pairing.pairs.size(), 3u);
  EXPECT_EQ(pairing.pairs[0].prediction, folder / "p/a.seg.nrrd");
  EXPECT_EQ(pairing.pairs[1].prediction, folder / "p/b.nhdr");
  EXPECT_EQ(pairing.pairs[2].reference, folder / "r/c.hdr");
}

TEST_F(Set, PairingRefusesWhatCannotBeMeant) {
  std::filesystem::create_directory(folder / "none");
  EXPECT_THROW(pair_cases(folder / "r", folder / "none"), Error);
  EXPECT_THROW(pair_cases(folder / "r", folder / "nowhere"), Error);
  EXPECT_THROW(pair_cases(folder / "r", folder / "p/a.nii.gz"), Error);
  write_labels(folder / "none/q.nii", Volume<int32_t>(geometry));
  EXPECT_THROW(pair_cases(folder / "r", folder / "none"), Error);
  write_labels(folder / "none/q.nii.gz", Volume<int32_t>(geometry));
  EXPECT_THROW(pair_cases(folder / "none", folder / "none"), Error);
}

TEST(NameList, IsShortenedAfterAFew) {
  EXPECT_EQ(name_list({"a", "b"}), "a, b");
  EXPECT_EQ(name_list({"a", "b", "c", "d"}, 2), "a, b and 2 more");
}

TEST_F(Set, CasesScoredAtOnceShareTheThreads) {
  Volume<int32_t> coarse(grid({8, 7, 5}, {2, 2, 4}), 1);
  for (const char* name : {"p/a.nii.gz", "p/b.nii.gz", "p/c.nii.gz"}) write_labels(folder / name, coarse);
  EvaluationOptions options;
  options.resample = true;
  options.threads = 3;
  std::vector<int> threads;  // of OpenMP, where a case is resampled
  evaluate(pairs(), options, {}, [&](const std::string& line) {
    if (line.find("resampled") != std::string::npos) threads.push_back(omp_get_max_threads());
  });
  EXPECT_EQ(threads, (std::vector<int>{1, 1, 1}));
}

}  // namespace
}  // namespace mambaseg
