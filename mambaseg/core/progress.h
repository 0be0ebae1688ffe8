#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace mambaseg {

/// Called by long work: `done` of `total` steps, and what is being done. The library prints nothing itself.
using Progress = std::function<void(const std::string& what, int64_t done, int64_t total)>;

/// Called with one line that a user should see although the work goes on.
using Warn = std::function<void(const std::string& line)>;

}  // namespace mambaseg
