#pragma once

#include <string_view>

namespace mambaseg {

/// What the whole program prints for these words, where that was known when it was built: the help of its
/// commands and lists of what is in it (known_output.cmake). Null: it must be asked.
const char* known_output(std::string_view words);

}  // namespace mambaseg
