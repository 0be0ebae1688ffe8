#include "mambaseg/core/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <new>
#include <set>
#include <string>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using std::chrono::milliseconds;

/// The count once it has had time to go beyond what is expected.
int64_t settled(const std::atomic<int64_t>& count, int64_t expected) {
  while (count < expected) std::this_thread::sleep_for(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(20));
  return count;
}

TEST(Workers, EveryJobIsDoneOnce) {
  for (const int threads : {1, 2, 7}) {
    std::vector<std::atomic<int>> calls(100);
    run_jobs(100, {threads}, [&](int64_t job) { ++calls[static_cast<size_t>(job)]; });
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
  run_jobs(0, {3}, [](int64_t) { FAIL() << "there is no job"; });
}

TEST(Workers, TheFirstExceptionReachesTheCallerAndStopsTheRest) {
  for (const int threads : {1, 4}) {
    std::atomic<int> begun{0};
    try {
      run_jobs(1000, {threads}, [&](int64_t job) {
        ++begun;
        // The later failure is the quicker one; the caller sees the earlier one all the same.
        if (job == 1) std::this_thread::sleep_for(milliseconds(20));
        if (job == 1 || job == 2) throw Error(concat("job ", job));
        std::this_thread::sleep_for(milliseconds(1));
      });
      FAIL() << "expected an exception";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "job 1");
    }
    EXPECT_LT(begun, 900);
  }
  EXPECT_THROW(run_jobs(3, {2}, [](int64_t) { throw std::bad_alloc(); }), std::bad_alloc);
  EXPECT_THROW(run_jobs(
                   3, {2}, [](int64_t) {}, [](int64_t) -> int64_t { throw Error("no size"); }),
               Error);
  EXPECT_THROW(run_jobs(
                   3, {2}, [](int64_t) {}, {}, [](int) { throw Error("no start"); }),
               Error);
}

TEST(Workers, JobsTogetherFitInMemory) {
  std::atomic<int64_t> held{0}, most{0};
  const auto bytes = [](int64_t job) -> int64_t { return job == 5 ? 1000 : 40; };  // one never fits
  run_jobs(
      20, {8, 100},
      [&](int64_t job) {
        const int64_t now = held += bytes(job);
        most = std::max(most.load(), now);
        std::this_thread::sleep_for(milliseconds(2));
        held -= bytes(job);
      },
      bytes);
  EXPECT_EQ(most, 1000) << "what never fits runs alone";
  most = 0;
  run_jobs(
      20, {8, 100},
      [&](int64_t) {
        most = std::max(most.load(), held += 40);
        std::this_thread::sleep_for(milliseconds(2));
        held -= 40;
      },
      [](int64_t) { return 40; });
  EXPECT_LE(most, 80);
}

TEST(Workers, ThreadsAreShared) {
  std::mutex mutex;
  std::multiset<int> shares;
  const auto start = [&](int threads) {
    const std::lock_guard lock(mutex);
    shares.insert(threads);
  };
  std::barrier both(2);
  run_jobs(
      2, {7}, [&](int64_t) { both.arrive_and_wait(); }, {}, start);
  EXPECT_EQ(shares, (std::multiset<int>{3, 3})) << "two jobs at once, three threads each";
  shares.clear();
  run_jobs(
      1, {7}, [](int64_t) {}, {}, start);
  EXPECT_TRUE(shares.empty()) << "a job alone runs on the thread of the caller, as it is";
}

TEST(ResultStream, GivesResultsInOrderAndMakesFewAhead) {
  std::atomic<int64_t> made{0};
  ResultStream<std::string> stream(
      50, {4},
      [&](int64_t job) {
        ++made;
        std::this_thread::sleep_for(milliseconds(job % 3));
        return std::to_string(job);
      },
      {}, {}, 5);
  EXPECT_EQ(settled(made, 5), 5);
  for (int64_t job = 0; job < 50; ++job) EXPECT_EQ(stream.next(), std::to_string(job));
}

TEST(ResultStream, IsBoundByMemory) {
  std::atomic<int64_t> made{0};
  const auto make = [&](int64_t job) {
    ++made;
    return job;
  };
  ResultStream<int64_t> stream(
      50, {4, 1000}, make, [](int64_t) { return 400; }, {}, 40);
  EXPECT_EQ(settled(made, 2), 2);
  for (int64_t job = 0; job < 50; ++job) EXPECT_EQ(stream.next(), job);
}

TEST(ResultStream, ThrowsInPlaceOfTheResultThatFailed) {
  ResultStream<int64_t> stream(
      50, {4},
      [](int64_t job) {
        require(job != 3, "job ", job);
        return job;
      },
      {}, {}, 8);
  for (int64_t job = 0; job < 3; ++job) EXPECT_EQ(stream.next(), job);
  EXPECT_THROW(stream.next(), Error);
}

TEST(ResultStream, MayBeLeftBeforeItsEnd) {
  std::atomic<int64_t> made{0};
  {
    ResultStream<int64_t> stream(
        1000, {3}, [&](int64_t job) { return made++, job; }, {}, {}, 4);
    stream.next();
  }
  EXPECT_LE(made, 5);
}

}  // namespace
}  // namespace mambaseg
