#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "mambaseg/core/error.h"

namespace mambaseg {

/// Problems of a dataset are gathered and told together: a user mends a dataset once, not file by file.
class Problems {
 public:
  template <class... Parts>
  void add(const Parts&... parts) {
    lines_.push_back(concat(parts...));
  }

  const std::vector<std::string>& lines() const { return lines_; }

  /// Throws one Error that lists them, if there are any: one in the line of the error, more on a line each,
  /// the first ten.
  void raise(const std::string& who) const {
    if (lines_.empty()) return;
    if (lines_.size() == 1) throw Error(who + ": " + lines_.front());
    constexpr size_t kShown = 10;
    std::string text = concat(who, ": ", lines_.size(), " problems:");
    for (size_t i = 0; i < std::min(kShown, lines_.size()); ++i) text += "\n  " + lines_[i];
    if (lines_.size() > kShown) text += concat("\n  and ", lines_.size() - kShown, " more");
    throw Error(text);
  }

 private:
  std::vector<std::string> lines_;
};

}  // namespace mambaseg
