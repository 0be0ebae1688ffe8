// Commands as several workers (--shard), and `mambaseg cohort`, as a user calls them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/core/volume.h"
#include "mambaseg/io/image.h"
#include "tests/cli/program.h"
#include "tests/io/temporary_folder.h"
#include "tests/metrics/blobs.h"
#include "tests/models/drawn_model.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Five images, labels of them, and a model that finds a ball everywhere.
class CohortCommand : public testing::Test {
 protected:
  void SetUp() override {
    for (const std::string& sub : {model_, images_, labels_}) fs::create_directories(sub);
    write_ball_model(model_);
    for (int i = 0; i < 5; ++i) {
      Volume<float> image(grid({16, 16, 16}));
      for (size_t v = 1; v < image.voxels.size(); ++v) image.voxels[v] = static_cast<float>(1 + v % 5 + i);
      write_volume(images_ + concat("/case", i, ".nii.gz"), image);
      Volume<int32_t> labels(grid({16, 16, 16}));
      draw_ball(labels, {8, 8, 7.0 + i}, 3, 10);
      write_labels(labels_ + concat("/case", i, ".nii.gz"), labels);
    }
  }
  std::string segment(const std::string& output) const {
    return "segment -m " + model_ + " " + images_ + " --quick --threads 1 -o " + output;
  }

  TemporaryFolder folder_;
  const std::string model_ = folder_ / "balls", images_ = folder_ / "images", labels_ = folder_ / "labels";
};

TEST_F(CohortCommand, SegmentAsSeveralWorkersGivesTheTableOfOne) {
  const std::string alone = folder_ / "alone", shared = folder_ / "shared";
  ASSERT_EQ(run_mambaseg(segment(alone)).exit_code, 0);
  const ProgramResult first = run_mambaseg(segment(shared) + " --shard 2/2 --most-cases 1");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_TRUE(fs::exists(shared + "/case1.nii.gz"));
  EXPECT_FALSE(fs::exists(shared + "/case0.nii.gz"));
  const ProgramResult state = run_mambaseg("cohort " + shared);
  EXPECT_EQ(state.exit_code, 1);
  EXPECT_THAT(state.out, HasSubstr("1 of 5 cases are done, 0 failed, 0 begun"));
  EXPECT_THAT(state.err, HasSubstr("4 of 5 cases are not done"));
  const ProgramResult second = run_mambaseg(segment(shared) + " --shard 1/2");
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(read_bytes(shared + "/volumes.tsv"), read_bytes(alone + "/volumes.tsv"));
  EXPECT_EQ(run_mambaseg("cohort " + shared).exit_code, 0);
  EXPECT_THAT(read_bytes(shared + "/cohort.csv"), HasSubstr("case1,done,1,"));
}

TEST_F(CohortCommand, SegmentTellsTheFailuresOfOtherWorkers) {
  const std::string output = folder_ / "out";
  write_bytes(images_ + "/case3.nii.gz", "no image");
  const ProgramResult own = run_mambaseg(segment(output) + " --shard 2/2");
  EXPECT_EQ(own.exit_code, 1);
  EXPECT_THAT(own.err, HasSubstr("case3"));
  const ProgramResult other = run_mambaseg(segment(output) + " --shard 1/2");
  EXPECT_EQ(other.exit_code, 0) << other.err;
  EXPECT_THAT(read_bytes(output + "/volumes.tsv"), HasSubstr("case3\trefused: "));
  const ProgramResult told = run_mambaseg("cohort " + output);
  EXPECT_THAT(told.out, HasSubstr("4 of 5 cases are done, 1 failed"));
  EXPECT_THAT(told.out, HasSubstr("failed: case3: "));
}

TEST_F(CohortCommand, EvaluateAsSeveralWorkersGivesTheReportOfOne) {
  const std::string alone = folder_ / "alone", shared = folder_ / "shared", predicted = folder_ / "predicted";
  fs::create_directories(predicted);
  for (int i = 0; i < 5; ++i) {
    Volume<int32_t> labels(grid({16, 16, 16}));
    if (i != 4) draw_ball(labels, {8, 7, 7.0 + i}, 3, i == 2 ? 12 : 10);  // missed, spurious, undefined
    write_labels(predicted + concat("/case", i, ".nii.gz"), labels);
  }
  const std::string words = "evaluate --metric all -r " + labels_ + " -p " + predicted + " -o ";
  ASSERT_EQ(run_mambaseg(words + alone).exit_code, 0);
  const ProgramResult first = run_mambaseg(words + shared + " --shard 1/2 --most-cases 2");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("2 of 5 cases are scored"));
  EXPECT_FALSE(fs::exists(shared + "/cases.csv"));
  const ProgramResult second = run_mambaseg(words + shared + " --shard 2/2");
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(read_bytes(shared + "/cases.csv"), read_bytes(alone + "/cases.csv"));
  // Other settings, other scores.
  const ProgramResult anew = run_mambaseg(words + shared + " --tolerance-mm 3 --shard 1/2 --most-cases 2");
  EXPECT_THAT(anew.out, HasSubstr("2 of 5 cases are scored"));
  EXPECT_EQ(run_mambaseg(words + (folder_ / "x.json") + " --shard 1/2").exit_code, 2);
}

TEST_F(CohortCommand, PrepareAsSeveralWorkersPreparesEveryCase) {
  const std::string cache = folder_ / "cache";
  write_bytes(folder_ / "recipe.toml",
              "[network]\nname = \"medsegmamba\"\n[plan]\nconform = \"none\"\npatch = [16, 16, 16]\n"
              "classes = [{ name = \"ball\", ids = [10] }]\n[data.dataset]\nlayout = \"folders\"\n");
  const std::string words = "prepare " + (folder_ / "recipe.toml") +
                            " --set data.dataset.folder=" + folder_.string() + " -o " + cache;
  write_bytes(images_ + "/case2.nii.gz", "no image");
  const ProgramResult first = run_mambaseg(words + " --shard 1/2");
  EXPECT_EQ(first.exit_code, 1);
  EXPECT_THAT(first.out + first.err, HasSubstr("case2"));
  for (const int i : {0, 1, 3, 4}) EXPECT_TRUE(fs::exists(cache + concat("/case", i, ".safetensors"))) << i;
  const ProgramResult second = run_mambaseg(words + " --shard 2/2");
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("0 prepared now"));
}

TEST_F(CohortCommand, WritesTheScriptOfAnArrayAfterATrial) {
  const std::string output = folder_ / "it's out";
  const std::string quoted = "\"" + output + "\"";
  const ProgramResult planned = run_mambaseg("cohort --workers 3 --slurm=--partition=long -- segment -m " +
                                             model_ + " " + images_ + " -o " + quoted);
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  const std::string script = read_bytes(output + "/cohort/array.sbatch");
  for (const char* line : {"#SBATCH --array=1-3\n", "#SBATCH --cpus-per-task=1\n",
                           "#SBATCH --partition=long\n", "#SBATCH --time=0:10:00\n",
                           "it'\\''s out' --threads 1 --shard slurm\n", "3 cases are left", "--shard $I/3"})
    EXPECT_THAT(script, HasSubstr(line));
  EXPECT_THAT(planned.out, HasSubstr("sbatch '"));
  ASSERT_EQ(run_mambaseg(segment(quoted) + " --shard 1/1").exit_code, 0);
  EXPECT_THAT(run_mambaseg("cohort --workers 3 -- " + segment(quoted)).err,
              HasSubstr("--threads has no place"));
  EXPECT_THAT(
      run_mambaseg("cohort --workers 3 -- segment -m " + model_ + " " + images_ + " -o " + quoted).out,
      HasSubstr("all 5 cases are done"));
}

TEST_F(CohortCommand, RefusesWordsThatMakeNoSense) {
  const std::string output = folder_ / "out";
  const auto refused = [](const std::string& words, const std::string& why) {
    const ProgramResult result = run_mambaseg(words);
    EXPECT_EQ(result.exit_code, 2) << words;
    EXPECT_THAT(result.err, HasSubstr(why)) << words;
  };
  refused(segment(output) + " --shard 3/2", "--shard: expected I/N");
  refused(segment(output) + " --shard slurm", "there is no SLURM_ARRAY_TASK_ID");
  refused(segment(output) + " --most-cases 2", "--most-cases belongs to --shard");
  refused(segment(output) + " --shard 1/2 --overwrite", "--shard and --overwrite");
  refused("predict -m " + model_ + "/a.safetensors -i " + images_ + "/case0.nii.gz -o " +
              (folder_ / "x.nii.gz") + " --shard 1/2",
          "expected a folder");
  refused("cohort --workers 2 -- train x", "expected segment, predict, prepare or evaluate");
  refused("cohort --workers 2 -- predict x", "expected -o OUTPUT");
  refused("cohort a b", "one folder of outputs alone");
  EXPECT_THAT(run_mambaseg("cohort " + folder_.string()).err, HasSubstr("no cohort, expected"));
  EXPECT_FALSE(fs::exists(output));
}

}  // namespace
}  // namespace mambaseg
