#include "mambaseg/core/shard.h"

#include <charconv>
#include <optional>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

std::optional<int64_t> whole_number(const std::string& text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc() || stop != end) return std::nullopt;
  return value;
}

int64_t number_in(const char* name, const std::function<const char*(const char*)>& variable) {
  const char* text = variable(name);
  if (!text)
    throw UsageError(concat("--shard slurm: there is no ", name,
                            ", which Slurm sets in the tasks of an array (sbatch --array=1-N)"));
  const auto value = whole_number(text);
  if (!value) throw UsageError(concat("--shard slurm: ", name, " is ", text, ", expected a number"));
  return *value;
}

/// Of an array that was submitted again in part ("--array=3,7") the tasks count from its least number on;
/// where they do not lie evenly their places are not known.
Shard shard_of_array(const std::function<const char*(const char*)>& variable) {
  const int64_t id = number_in("SLURM_ARRAY_TASK_ID", variable),
                least = number_in("SLURM_ARRAY_TASK_MIN", variable),
                step = number_in("SLURM_ARRAY_TASK_STEP", variable),
                count = number_in("SLURM_ARRAY_TASK_COUNT", variable);
  const int64_t place = step > 0 ? (id - least) / step : -1;
  if (place < 0 || place >= count || (id - least) % step != 0)
    throw UsageError(concat("--shard slurm: task ", id, " is none of ", count, " from ", least,
                            " in steps of ", step, "; expected an array as 1-N, or --shard I/N"));
  Shard shard{place + 1, count};
  if (const char* job = variable("SLURM_ARRAY_JOB_ID")) shard.job = concat("Slurm job ", job, "_", id);
  return shard;
}

}  // namespace

std::vector<size_t> Shard::order(size_t cases) const {
  std::vector<size_t> numbers;
  const auto step = static_cast<size_t>(count);
  for (size_t i = static_cast<size_t>(index - 1); i < cases; i += step) numbers.push_back(i);
  for (size_t next = 0; next + 1 < step; ++next) {
    const size_t other = (static_cast<size_t>(index) + next) % step;
    if (other >= cases) continue;
    for (size_t i = other + (cases - 1 - other) / step * step;; i -= step) {
      numbers.push_back(i);
      if (i < step) break;
    }
  }
  return numbers;
}

Shard shard_named(const std::string& text, const std::function<const char*(const char*)>& variable) {
  if (text == "slurm") return shard_of_array(variable);
  const size_t slash = text.find('/');
  if (slash != std::string::npos) {
    const auto index = whole_number(text.substr(0, slash)), count = whole_number(text.substr(slash + 1));
    if (index && count && *index >= 1 && *index <= *count) {
      Shard shard{*index, *count};
      return shard;
    }
  }
  throw UsageError(concat("--shard: expected I/N with I from 1 to N, as 3/40, or slurm, got ", text));
}

}  // namespace mambaseg
