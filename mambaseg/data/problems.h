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

  /// Throws one Error that lists them, if there are any.
  void raise(const std::string& who) const {
    if (lines_.empty()) return;
    constexpr size_t kShown = 20;
    std::string text = concat(who, ": ", lines_.size(), lines_.size() == 1 ? " problem" : " problems");
    for (size_t i = 0; i < std::min(kShown, lines_.size()); ++i) text += "; " + lines_[i];
    if (lines_.size() > kShown) text += concat("; and ", lines_.size() - kShown, " more");
    throw Error(text);
  }

 private:
  std::vector<std::string> lines_;
};

}  // namespace mambaseg
