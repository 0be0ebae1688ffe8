#include "mambaseg/io/cohort.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class CohortFolder : public testing::Test {
 protected:
  std::vector<CohortCase> cases(size_t count) const {
    std::vector<CohortCase> cases;
    for (size_t i = 0; i < count; ++i)
      cases.push_back({concat("case_", i), folder_ / concat("case_", i, ".txt")});
    return cases;
  }
  std::function<bool()> is_there(size_t number) const {
    return [this, number] { return fs::exists(folder_ / concat("case_", number, ".txt")); };
  }
  std::vector<std::string> events(size_t number) const {
    std::vector<std::string> what;
    const CohortState one = read_cohort(folder_.string()).at(number);
    for (const CohortEvent& event : one.events) what.push_back(event.what);
    return what;
  }
  /// A worker that is killed while it has the claim on a case.
  void die_at(size_t number, const Shard& shard, size_t count) const {
    const pid_t child = fork();
    if (child == 0) {
      Cohort cohort(shard, folder_.string(), cases(count));
      const auto claim = cohort.claim(number, is_there(number));
      if (claim) raise(SIGKILL);
      _exit(1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  std::string state(size_t number) const { return read_cohort(folder_.string()).at(number).state(); }

  TemporaryFolder folder_;
};

TEST_F(CohortFolder, OneWithoutAShardWritesNothing) {
  Cohort cohort(std::nullopt, folder_.string(), cases(3));
  EXPECT_THAT(cohort.order(), ElementsAre(0, 1, 2));
  const auto claim = cohort.claim(1, [] { return true; });
  ASSERT_TRUE(claim);
  claim->done();
  EXPECT_TRUE(fs::is_empty(folder_.string()));
  EXPECT_THAT(error_of([&] { read_cohort(folder_.string()); }), HasSubstr("no cohort, expected"));
}

TEST_F(CohortFolder, RacingWorkersDoEveryCaseOnce) {
  constexpr size_t kCases = 200;
  constexpr int64_t kWorkers = 6;
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  std::vector<pid_t> workers;
  for (int64_t index = 1; index <= kWorkers; ++index) {
    workers.push_back(fork());
    if (workers.back() != 0) continue;
    close(gate[1]);
    char byte;
    if (read(gate[0], &byte, 1) != 0) _exit(1);  // all begin together
    // Three are the same shard, as after a second submission, which look at the same cases at the same time.
    Cohort cohort(Shard{index <= 3 ? 1 : index, kWorkers}, folder_.string(), cases(kCases));
    for (const size_t number : cohort.order())
      if (const auto claim = cohort.claim(number, is_there(number))) {
        OpenFile output(folder_ / concat("case_", number, ".txt"), O_CREAT | O_WRONLY | O_APPEND);
        output.write("x", 1);
        claim->done();
      }
    _exit(0);
  }
  close(gate[0]);
  close(gate[1]);
  for (const pid_t worker : workers) {
    int status = 1;
    waitpid(worker, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::map<std::string, int> by_worker;
  for (const CohortState& one : read_cohort(folder_.string())) {
    EXPECT_EQ(one.state(), "done");
    EXPECT_EQ(read_bytes(one.one.output), "x");
    ASSERT_EQ(one.events.size(), 2u) << one.one.name;
    EXPECT_EQ(one.events[0].worker, one.events[1].worker);
    ++by_worker[one.events[0].worker];
  }
  EXPECT_GT(by_worker.size(), 1u);
}

TEST_F(CohortFolder, TheCaseOfAKilledWorkerIsTakenOver) {
  die_at(0, {1, 2}, 2);
  EXPECT_EQ(state(0), "begun");
  EXPECT_EQ(state(1), "open");
  Cohort other(Shard{2, 2}, folder_.string(), cases(2));
  const auto claim = other.claim(0, is_there(0));
  ASSERT_TRUE(claim);
  EXPECT_FALSE(other.claim(0, is_there(0)));  // it is taken now
  write_bytes(folder_ / "case_0.txt", "x");
  claim->done();
  EXPECT_THAT(events(0), ElementsAre("begun", "begun", "done"));
  EXPECT_EQ(state(0), "done");
}

TEST_F(CohortFolder, ACaseThatEndedTwoWorkersIsLeftToItsOwn) {
  die_at(0, {1, 2}, 2);
  die_at(0, {2, 2}, 2);
  EXPECT_EQ(state(0), "failed");
  EXPECT_FALSE(Cohort(Shard{2, 2}, folder_.string(), cases(2)).claim(0, is_there(0)));
  EXPECT_TRUE(Cohort(Shard{1, 2}, folder_.string(), cases(2)).claim(0, is_there(0)));
}

TEST_F(CohortFolder, AFailedCaseIsTriedAgainByALaterCallOfItsOwnWorker) {
  Cohort own(Shard{1, 2}, folder_.string(), cases(2)), other(Shard{2, 2}, folder_.string(), cases(2));
  other.claim(0, is_there(0))->failed("cannot be read\nbecause");
  EXPECT_FALSE(own.claim(0, is_there(0)));  // failed since it began
  EXPECT_FALSE(other.claim(0, is_there(0)));
  EXPECT_THAT(own.failures(), ElementsAre(testing::Pair("case_0", "cannot be read")));
  EXPECT_EQ(state(0), "failed");
  usleep(2000);  // times are in ms
  EXPECT_FALSE(Cohort(Shard{2, 2}, folder_.string(), cases(2)).claim(0, is_there(0)));
  Cohort later(Shard{1, 2}, folder_.string(), cases(2));
  EXPECT_TRUE(later.claim(0, is_there(0)));
}

TEST_F(CohortFolder, AnOutputThatWasRemovedIsMadeAgain) {
  {
    Cohort cohort(Shard{1, 1}, folder_.string(), cases(1));
    cohort.claim(0, is_there(0))->done();
    EXPECT_FALSE(cohort.claim(0, is_there(0)));  // even where the file system does not show the file yet
  }
  EXPECT_EQ(state(0), "open");
  usleep(2000);
  EXPECT_TRUE(Cohort(Shard{1, 1}, folder_.string(), cases(1)).claim(0, is_there(0)));
}

TEST_F(CohortFolder, AnUnfinishedLineOfAKilledWorkerHurtsNobody) {
  { Cohort cohort(Shard{1, 1}, folder_.string(), cases(1)); }
  write_bytes(folder_ / "cohort/case_0.jsonl", "{\"event\": \"beg");
  Cohort cohort(Shard{1, 1}, folder_.string(), cases(1));
  cohort.claim(0, is_there(0))->done();
  EXPECT_THAT(events(0), ElementsAre("begun", "done"));
}

TEST_F(CohortFolder, EndsAfterTheMostCases) {
  Shard shard{1, 1};
  shard.most_cases = 2;
  Cohort cohort(shard, folder_.string(), cases(3));
  EXPECT_TRUE(cohort.claim(0, is_there(0)));
  EXPECT_TRUE(cohort.claim(1, is_there(1)));
  EXPECT_FALSE(cohort.claim(2, is_there(2)));
}

TEST_F(CohortFolder, AFileIsNoFolderOfOutputs) {
  const std::string file = folder_ / "labels.nii.gz";
  EXPECT_THAT(error_of([&] {
                Cohort(Shard{1, 2}, file, {{"labels", file}});
              }),
              HasSubstr("labels.nii.gz: expected a folder"));
}

TEST_F(CohortFolder, OneAtATimeHasItsTurn) {
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  std::vector<pid_t> workers;
  for (int64_t index = 1; index <= 4; ++index) {
    workers.push_back(fork());
    if (workers.back() != 0) continue;
    Cohort cohort(Shard{index, 4}, folder_.string(), cases(1));
    bool alone = true;
    for (int i = 0; i < 20; ++i)
      cohort.in_turn([&] {
        const std::string mark = folder_ / "inside";
        alone = alone && !fs::exists(mark);
        write_bytes(mark, "x");
        fs::remove(mark);
      });
    _exit(alone ? 0 : 1);
  }
  for (const pid_t worker : workers) {
    int status = 1;
    waitpid(worker, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

}  // namespace
}  // namespace mambaseg
