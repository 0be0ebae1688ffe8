#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "mambaseg/core/memory.h"

namespace mambaseg {

/// How many jobs are worked on at a time: as many as there are threads, and no more than fit in memory
/// together. A job that needs more than all of it runs alone.
struct Workers {
  Workers(int thread_count = 1, int64_t memory = half_of_memory())
      : threads(thread_count), memory_bytes(memory) {}
  int threads;
  int64_t memory_bytes;
};

using Job = std::function<void(int64_t job)>;
using JobBytes = std::function<int64_t(int64_t job)>;  ///< what a job holds; empty: nothing worth counting
/// Called once on each new thread, with the number of threads that its jobs may use themselves.
using ThreadStart = std::function<void(int threads)>;

/// Calls job(0) ... job(count - 1), begun in that order. The first exception (of the lowest number, as
/// without threads) stops the jobs that have not begun, and is thrown again here when the others are done.
/// With one thread, or one job, the caller does the work and `start` is not called.
void run_jobs(int64_t count, const Workers& workers, const Job& job, const JobBytes& bytes = {},
              const ThreadStart& start = {});

/// The threads behind run_jobs and ResultStream.
class JobThreads {
 public:
  enum class Memory { until_done, until_released };

  /// At most `most_held` jobs are begun and not yet done (or released) at a time; 0: any number.
  JobThreads(int64_t count, const Workers& workers, Job job, JobBytes bytes, ThreadStart start, Memory memory,
             int64_t most_held = 0);
  /// Jobs that have not begun are left out; waits for the others.
  ~JobThreads();
  JobThreads(const JobThreads&) = delete;
  JobThreads& operator=(const JobThreads&) = delete;

  /// Waits until the job is done; throws what it threw. Ask for the jobs in their order.
  void wait_for(int64_t job);
  /// What the job made is held no longer (Memory::until_released).
  void release(int64_t job);

 private:
  void work();
  std::optional<int64_t> take();
  bool begin(int64_t job, int64_t bytes);
  void finish(int64_t job, std::exception_ptr failure);
  void release_locked(int64_t job);

  const int64_t count_;
  const int64_t memory_bytes_, most_held_;
  const Job job_;
  const JobBytes bytes_;
  const ThreadStart start_;
  const Memory memory_;
  int share_ = 1;  ///< threads for each thread

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool stopped_ = false;
  int64_t taken_ = 0, begun_ = 0, held_bytes_ = 0;
  std::map<int64_t, int64_t> held_;  ///< bytes of the jobs that count
  std::vector<bool> done_;
  std::map<int64_t, std::exception_ptr> failures_;

  std::vector<std::jthread> threads_;  ///< last member: joined before what they use goes
};

/// What make(0) ... make(count - 1) return, in that order, made ahead on threads of their own: at most
/// `most_held` results, and no more than fit in memory, are being made or waiting.
template <class Result>
class ResultStream {
 public:
  ResultStream(int64_t count, const Workers& workers, const std::function<Result(int64_t)>& make,
               const JobBytes& bytes, const ThreadStart& start, int64_t most_held)
      : results_(static_cast<size_t>(count)),
        threads_(
            count, workers, [this, make](int64_t job) { results_[static_cast<size_t>(job)] = make(job); },
            bytes, start, JobThreads::Memory::until_released, most_held) {}

  /// The next result; throws what went wrong while it was made. Not after the last one.
  Result next() {
    const int64_t job = next_++;
    threads_.wait_for(job);
    Result result = std::move(*results_[static_cast<size_t>(job)]);
    results_[static_cast<size_t>(job)].reset();
    threads_.release(job);
    return result;
  }

 private:
  std::vector<std::optional<Result>> results_;
  int64_t next_ = 0;
  JobThreads threads_;  ///< last member: joined before the results go
};

}  // namespace mambaseg
