#include "mambaseg/core/workers.h"

#include <algorithm>
#include <system_error>

#include "mambaseg/core/error.h"

namespace mambaseg {

JobThreads::JobThreads(int64_t count, const Workers& workers, Job job, JobBytes bytes, ThreadStart start,
                       Memory memory, int64_t most_held)
    : count_(count),
      memory_bytes_(workers.memory_bytes),
      most_held_(most_held),
      job_(std::move(job)),
      bytes_(std::move(bytes)),
      start_(std::move(start)),
      memory_(memory),
      done_(static_cast<size_t>(count)) {
  const auto threads = static_cast<int>(std::clamp<int64_t>(workers.threads, 1, std::max<int64_t>(1, count)));
  share_ = std::max(1, workers.threads / threads);
  threads_.reserve(static_cast<size_t>(threads));
  try {
    for (int t = 0; t < threads; ++t) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {  // those that the system gave do the work
    require(!threads_.empty(), "no thread can be started: ", error.what());
  }
}

JobThreads::~JobThreads() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

void JobThreads::wait_for(int64_t job) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_[static_cast<size_t>(job)]; });
  if (const auto failure = failures_.find(job); failure != failures_.end())
    std::rethrow_exception(failure->second);
}

void JobThreads::release(int64_t job) {
  const std::lock_guard lock(mutex_);
  release_locked(job);
  changed_.notify_all();
}

void JobThreads::release_locked(int64_t job) {
  const auto held = held_.find(job);
  held_bytes_ -= held->second;
  held_.erase(held);
}

void JobThreads::work() {
  bool started = false;
  while (const auto job = take()) {
    std::exception_ptr failure;
    int64_t bytes = 0;
    try {
      if (!started && start_) start_(share_);
      started = true;
      if (bytes_) bytes = bytes_(*job);
    } catch (...) {
      failure = std::current_exception();
    }
    if (!begin(*job, bytes)) return;
    try {
      if (!failure) job_(*job);
    } catch (...) {
      failure = std::current_exception();
    }
    finish(*job, std::move(failure));
  }
}

std::optional<int64_t> JobThreads::take() {
  const std::lock_guard lock(mutex_);
  if (stopped_ || taken_ == count_) return std::nullopt;
  return taken_++;
}

/// Waits for its turn and its memory. In order, so that the job that is waited for is never one that waits
/// for those behind it.
bool JobThreads::begin(int64_t job, int64_t bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    if (stopped_) return true;
    const bool few = most_held_ == 0 || static_cast<int64_t>(held_.size()) < most_held_;
    return begun_ == job && few && (held_.empty() || bytes <= memory_bytes_ - held_bytes_);
  });
  if (stopped_) return false;
  ++begun_;
  held_.emplace(job, bytes);
  held_bytes_ += bytes;
  changed_.notify_all();
  return true;
}

void JobThreads::finish(int64_t job, std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  done_[static_cast<size_t>(job)] = true;
  if (failure) {
    failures_.emplace(job, std::move(failure));
    stopped_ = true;
  }
  if (memory_ == Memory::until_done) release_locked(job);
  changed_.notify_all();
}

void run_jobs(int64_t count, const Workers& workers, const Job& job, const JobBytes& bytes,
              const ThreadStart& start) {
  if (workers.threads <= 1 || count <= 1) {
    for (int64_t i = 0; i < count; ++i) job(i);
    return;
  }
  JobThreads threads(count, workers, job, bytes, start, JobThreads::Memory::until_done);
  for (int64_t i = 0; i < count; ++i) threads.wait_for(i);
}

}  // namespace mambaseg
