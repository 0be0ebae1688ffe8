#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace mambaseg {

/// A failure that the user can cause and mend: a file, a setting, a full disk. The message says who, what was
/// expected and what came; each level that knows more puts its words in front (see with_context). Exit
/// code 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A command line or recipe that makes no sense whatever the files hold. Exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The words of `parts`, written one after the other.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Throws Error(concat(parts...)) unless `condition` holds. For what a user can cause; use assert for what
/// only we can.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) throw Error(concat(parts...));
}

/// "`context`: `message`", or the message where it begins so already.
std::string in_context(const std::string& context, const std::string& message);

/// Calls `action`; an Error that leaves it gets "`context`: " in front and keeps its kind.
template <class Action>
auto with_context(const std::string& context, Action&& action) -> decltype(action()) {
  try {
    return action();
  } catch (const UsageError& error) {
    throw UsageError(in_context(context, error.what()));
  } catch (const Error& error) {
    throw Error(in_context(context, error.what()));
  }
}

/// The candidate nearest to `word` by edit distance, or "" when none is near: for "did you mean".
std::string nearest_word(const std::string& word, const std::string* begin, const std::string* end);

}  // namespace mambaseg
