#pragma once

#include <exception>
#include <string>

namespace mambaseg {

/// Thrown by a progress that wants the work to end. Not an Error, which work may answer by doing something
/// else.
class Cancelled : public std::exception {
 public:
  const char* what() const noexcept override { return "cancelled"; }
};

/// What became of a piece of work, as the exit codes of the program have it.
enum class Outcome { done = 0, failed = 1, misused = 2, cancelled = 3 };

/// Why it was not done, in one line for people.
struct Failure {
  Outcome outcome = Outcome::failed;
  std::string line;
};

/// Of the exception that is being handled, which came from work without LibTorch (session/failure knows its
/// exceptions, too): what ours say, of others the first line.
Failure plain_failure();

}  // namespace mambaseg
