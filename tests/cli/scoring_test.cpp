// The commands evaluate and compare on drawn cases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "mambaseg/config/config.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"
#include "tests/cli/program.h"
#include "tests/io/temporary_folder.h"
#include "tests/metrics/blobs.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

class Scored : public testing::Test {
 protected:
  Scored() {
    for (const char* sub : {"r", "good", "bad"}) std::filesystem::create_directory(folder / sub);
    for (int c = 0; c < 6; ++c) {
      Volume<int32_t> reference(geometry), good(geometry), bad(geometry);
      draw_ball(reference, {8, 7, 5}, 3 + 0.3 * c, 1);
      draw_ball(good, {8.5, 7, 5}, 3 + 0.3 * c, 1);
      draw_ball(bad, {10, 8, 5}, 3, 1);
      const std::string name = "/sub-" + std::to_string(c) + ".nii.gz";
      write_labels(folder / ("r" + name), reference);
      write_labels(folder / ("good" + name), good);
      write_labels(folder / ("bad" + name), bad);
    }
  }
  ProgramResult evaluate(const std::string& more) {
    return run_mambaseg("evaluate -r " + (folder / "r") + " -o " + (folder / "out") + " " + more);
  }
  TemporaryFolder folder;
  Geometry geometry = grid({20, 16, 11}, {1, 1, 2});
};

TEST_F(Scored, EvaluateWritesEveryFileAndATable) {
  const ProgramResult result = evaluate("-p " + (folder / "good") + " --strata-cm3 0.2 0.5");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("label 1"));
  EXPECT_THAT(result.out, HasSubstr("HD95 mm"));
  for (const char* file : {"summary.json", "cases.csv", "report.html", "stats/sub-0.aseg.stats"})
    EXPECT_TRUE(std::filesystem::exists(folder / (std::string("out/") + file))) << file;
  EXPECT_TRUE(std::filesystem::exists(folder / "out/pictures/sub-0.png"));
  const Json summary = read_json(folder / "out/summary.json");
  EXPECT_EQ(summary["metric_per_case"].size(), 6u);
  EXPECT_EQ(summary["groups"]["By volume: label 1"].size(), 3u);
  EXPECT_THAT(summary["command"].get<std::string>(), HasSubstr("--strata-cm3 0.2"));
}

TEST_F(Scored, EvaluateOfTwoFilesIntoOneJson) {
  const std::string file = "/sub-1.nii.gz";
  const ProgramResult result =
      run_mambaseg("evaluate -r " + (folder / "r") + file + " -p " + (folder / "good") + file + " -o " +
                   (folder / "one.json") + " --metric Dice");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(std::filesystem::is_regular_file(folder / "one.json"));
}

TEST_F(Scored, EvaluateOfSeveralRunsGivesTheSpreadBetweenThem) {
  std::filesystem::remove(folder / "bad/sub-0.nii.gz");  // another split
  const ProgramResult result =
      evaluate("-p " + (folder / "good") + " -p " + (folder / "bad") + " --metric Dice --pictures 0");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json runs = read_json(folder / "out/runs.json");
  const double a = runs["runs"][0]["foreground_mean"]["Dice"], b = runs["runs"][1]["foreground_mean"]["Dice"];
  EXPECT_NEAR(runs["mean_over_runs"]["Dice"].get<double>(), (a + b) / 2, 1e-12);
  EXPECT_NEAR(runs["sd_over_runs"]["Dice"].get<double>(), std::abs(a - b) / std::sqrt(2.0), 1e-12);
  EXPECT_THAT(result.out, HasSubstr("mean of 2 runs"));
  EXPECT_TRUE(std::filesystem::exists(folder / "out/bad/report.html"));
}

TEST_F(Scored, EvaluateRefusesMissingPredictionsUnlessAllowed) {
  std::filesystem::remove(folder / "good/sub-3.nii.gz");
  const ProgramResult refused = evaluate("-p " + (folder / "good"));
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("sub-3"));
  const ProgramResult allowed = evaluate("-p " + (folder / "good") + " --allow-missing --pictures 0");
  EXPECT_EQ(allowed.exit_code, 0) << allowed.err;
  EXPECT_EQ(read_json(folder / "out/summary.json")["missing_predictions"][0], "sub-3");
}

TEST_F(Scored, EvaluateNamesWhatIsWrong) {
  EXPECT_EQ(evaluate("-p " + (folder / "nowhere")).exit_code, 1);
  EXPECT_EQ(evaluate("-p " + (folder / "good") + " --metric Dise").exit_code, 2);
  EXPECT_EQ(evaluate("-p " + (folder / "good") + " --group-by site").exit_code, 2);
  EXPECT_EQ(evaluate("-p " + (folder / "good") + " --labels " + (folder / "none.csv")).exit_code, 1);
  write_labels(folder / "good/sub-0.nii.gz", Volume<int32_t>(grid({20, 16, 12})));
  const ProgramResult grids = evaluate("-p " + (folder / "good"));
  EXPECT_EQ(grids.exit_code, 1);
  EXPECT_THAT(grids.err, HasSubstr("sub-0"));
  EXPECT_EQ(std::count(grids.err.begin(), grids.err.end(), '\n'), 1) << grids.err;
}

TEST_F(Scored, OptionsDoNotSwallowWhatFollows) {
  const std::string both = (folder / "good") + " " + (folder / "bad"),
                    rest = " -r " + (folder / "r") + " -o ";
  for (const std::string& words :
       {"--metric Dice " + both, both + " --metric Dice HD95", "--metric Dice HD95 " + both,
        "--name one --name two " + both, both + " --name one two", "--name one two " + both}) {
    const ProgramResult result = run_mambaseg("compare " + words + rest + (folder / "compared"));
    EXPECT_EQ(result.exit_code, 0) << words << ": " << result.err;
    EXPECT_EQ(result.out.find("HD95") != std::string::npos,
              words.find("name") != std::string::npos || words.find("HD95") != std::string::npos)
        << words << result.out;
  }
}

TEST_F(Scored, ReportsDoNotLieAmongWhatIsScored) {
  for (const char* output : {"r", "good", "good/../r", "r/sub-0.nii.gz"}) {
    const ProgramResult result = run_mambaseg("evaluate -r " + (folder / "r") + " -p " + (folder / "good") +
                                              " -o " + (folder / output));
    EXPECT_NE(result.exit_code, 0) << output;
    EXPECT_FALSE(std::filesystem::exists(folder / "r/summary.json"));
    EXPECT_FALSE(std::filesystem::exists(folder / "good/summary.json"));
  }
  std::filesystem::create_directory(folder / "pictures");
  std::filesystem::copy(folder / "r", folder / "pictures");
  EXPECT_EQ(run_mambaseg("evaluate -r " + (folder / "pictures") + " -p " + (folder / "good") + " -o " +
                         folder.string())
                .exit_code,
            2);
  EXPECT_EQ(run_mambaseg("compare " + (folder / "good") + " " + (folder / "bad") + " -r " + (folder / "r") +
                         " -o " + folder.string())
                .exit_code,
            2);
  EXPECT_EQ(run_mambaseg("compare " + (folder / "good") + " " + (folder / "bad") +
                         " --name a/b --name a_b -r " + (folder / "r") + " -o " + (folder / "out"))
                .exit_code,
            2);
}

TEST_F(Scored, CompareFindsTheBetterMethod) {
  const ProgramResult result = run_mambaseg("compare " + (folder / "good") + " " + (folder / "bad") + " -r " +
                                            (folder / "r") + " -o " + (folder / "out"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("good - bad"));
  const Json comparison = read_json(folder / "out/comparison.json");
  for (const Json& test : comparison["overall"])
    if (test["metric"] == "Dice") {
      EXPECT_NEAR(test["p"].get<double>(), 2 / 64.0, 1e-12);  // better in all six cases
      EXPECT_GT(test["difference"].get<double>(), 0);
    }
  EXPECT_TRUE(std::filesystem::exists(folder / "out/report.html"));
  EXPECT_TRUE(std::filesystem::exists(folder / "out/bad/cases.csv"));
  EXPECT_EQ(run_mambaseg("compare " + (folder / "good") + " -r " + (folder / "r") + " -o " + (folder / "out"))
                .exit_code,
            2);
}

}  // namespace
}  // namespace mambaseg
