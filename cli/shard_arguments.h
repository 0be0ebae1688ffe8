#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "mambaseg/core/shard.h"

namespace mambaseg {

/// --shard and --most-cases, the same in every command whose cases several workers can share.
struct ShardArguments {
  std::string shard;
  int64_t most_cases = 0;

  void declare(CLI::App& command);
  /// Nothing where the process works alone. UsageError for what makes no sense.
  std::optional<Shard> read() const;
};

}  // namespace mambaseg
