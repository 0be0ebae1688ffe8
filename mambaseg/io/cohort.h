#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mambaseg/core/progress.h"
#include "mambaseg/core/shard.h"
#include "mambaseg/io/open_file.h"

namespace mambaseg {

/// A case of a cohort, and the file that is there when it is done.
struct CohortCase {
  std::string name;
  std::string output;
};

/// What a worker wrote into the journal of a case.
struct CohortEvent {
  std::string what;    ///< "begun", "done", "failed"
  std::string time;    ///< UTC, "2026-11-28T06:20:11.123Z": sorts as text
  std::string worker;  ///< "process 4711 on node3, shard 2/40, Slurm job 93_2"
  double seconds = 0;  ///< since it was begun
  std::string why;     ///< of a failure, one line
};

/// A case that this process alone works on, until the object ends or the process, however that dies.
class Claim {
 public:
  Claim() = default;  ///< of a process that works alone: nothing is written down
  Claim(OpenFile journal, std::string worker);

  void done();
  void failed(const std::string& why);

 private:
  void write(const CohortEvent& event);

  std::optional<OpenFile> journal_;
  std::string worker_;
  std::chrono::steady_clock::time_point start_{};
};

/// The cases of one command that several workers, on whatever machines, share by the folder of its outputs.
/// Each walks over all of them, its own first, and claims one before it works on it: the claim is a lock on
/// OUTPUT/cohort/CASE.jsonl, which the file system takes back when its holder dies, and the file is the
/// case's journal. Without a shard the process works alone: every case is its, and nothing is written.
class Cohort {
 public:
  /// Makes OUTPUT/cohort with the list of cases, and warns where there are no locks. Throws UsageError when
  /// the output is no folder, Error naming what cannot be written.
  Cohort(const std::optional<Shard>& shard, const std::string& output, std::vector<CohortCase> cases,
         const Warn& warn = {});

  /// The cases to look at, in order; only its own where the file system knows no locks.
  std::vector<size_t> order() const;

  /// The claim on a case; null where another worker has it, `is_done` says that nothing is left to do (asked
  /// once no other can have it), or it has failed: only the worker whose own it is tries that one again. A
  /// case during which two workers ended without a word counts as failed. Any thread may ask.
  std::shared_ptr<Claim> claim(size_t number, const std::function<bool()>& is_done);

  /// Runs `action` while no other worker of the cohort runs one.
  void in_turn(const std::function<void()>& action) const;
  /// Cases whose last worker failed, and why.
  std::map<std::string, std::string> failures() const;

 private:
  std::optional<Shard> shard_;
  std::string folder_, worker_, start_;
  std::vector<CohortCase> cases_;
  bool locks_ = true;
  std::atomic<int64_t> claimed_ = 0;
};

/// What became of a case: what its files say, and its journal (oldest first).
struct CohortState {
  CohortCase one;
  bool done = false;
  std::vector<CohortEvent> events;

  /// "done", "failed", "begun" (in work, or its worker ended without a word) or "open".
  std::string state() const;
  /// Why it failed; empty: it did not.
  std::string why() const;
};

/// Every case of the cohort whose outputs lie in a folder, in the order of its list. Throws Error when there
/// is no cohort.
std::vector<CohortState> read_cohort(const std::string& output);

}  // namespace mambaseg
