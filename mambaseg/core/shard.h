#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mambaseg {

/// Which of several workers that share the cases of one command a process is: the index-th of count.
struct Shard {
  int64_t index = 1, count = 1;
  int64_t most_cases = 0;  ///< that it works on; 0: any number
  std::string job{};       ///< of a scheduler, for journals: "Slurm job 93_2"

  /// Whether a case is one of its own: every count-th from the index-th on, so that cases which lie together
  /// (a site, a scanner) are spread over all.
  bool owns(size_t number) const { return static_cast<int64_t>(number) % count == index - 1; }
  /// The numbers of `cases` in the order in which this worker looks at them: its own, and then, from their
  /// ends, those of the others, beginning with the next.
  std::vector<size_t> order(size_t cases) const;
};

/// "3/40", or "slurm": the task of a Slurm array that this process is (SLURM_ARRAY_TASK_ID, _MIN, _STEP and
/// _COUNT, each of which `variable` gives, or null). UsageError for anything else.
Shard shard_named(const std::string& text, const std::function<const char*(const char*)>& variable);

}  // namespace mambaseg
