#pragma once

#include <functional>
#include <string>
#include <vector>

namespace mambaseg {

/// Cases of one command that failed: one bad case does not stop the others, and all are told at the end.
class CaseFailures {
 public:
  /// Runs `action`; false, and the failure noted, when it throws. `who` names the case, with its file.
  bool guard(const std::string& who, const std::function<void()>& action);
  void add(const std::string& who, const std::string& cause) { lines_.push_back(who + ": " + cause); }

  /// Throws Error when there are failures: with the cause when it was the only case, else after a line on
  /// stderr for each of them.
  void raise(size_t cases) const;

 private:
  std::vector<std::string> lines_;
};

/// Makes the folder of an output, and finds out before long work whether a file can be written there.
void prepare_output(const std::string& path);

}  // namespace mambaseg
