#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mambaseg/core/progress.h"
#include "mambaseg/io/cohort.h"

namespace mambaseg {

/// Why the exception was thrown that is being handled, in one line.
std::string plain_cause();

/// Cases of one command that failed: one bad case does not stop the others, and all are told at the end.
class CaseFailures {
 public:
  /// `cause` knows more exceptions than plain_cause.
  explicit CaseFailures(std::function<std::string()> cause = plain_cause) : cause_(std::move(cause)) {}

  /// Runs `action`; false, and the failure noted, when it throws. The line names the case and, once, its
  /// file. What became of the case is written into the journal of its claim, if it has one.
  bool guard(const std::string& name, const std::string& path, const std::function<void()>& action,
             Claim* claim = nullptr);

  /// Throws Error when there are failures: with the cause when it was the only case, else after telling a
  /// line for each of them.
  void raise(size_t cases, const Warn& tell) const;

 private:
  void add(const std::string& name, const std::string& path, const std::string& cause);

  std::function<std::string()> cause_;
  std::vector<std::string> lines_;
};

}  // namespace mambaseg
