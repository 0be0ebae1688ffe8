#include "cli/shard_arguments.h"

#include <cstdlib>

#include "mambaseg/core/error.h"

namespace mambaseg {

void ShardArguments::declare(CLI::App& command) {
  command.add_option("--shard", shard,
                     "I/N: be the I-th of N workers that share the cases and keep what is there; slurm: the "
                     "task of a Slurm array (docs/cohorts.md)");
  command.add_option("--most-cases", most_cases, "With --shard: end after so many cases; 0: all")
      ->check(CLI::NonNegativeNumber);
}

std::optional<Shard> ShardArguments::read() const {
  if (shard.empty()) {
    if (most_cases > 0) throw UsageError("--most-cases belongs to --shard I/N");
    return std::nullopt;
  }
  Shard read = shard_named(shard, [](const char* name) { return std::getenv(name); });
  read.most_cases = most_cases;
  return read;
}

}  // namespace mambaseg
