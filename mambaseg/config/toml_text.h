#pragma once

#include <string>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// One value as it stands behind "key = " in TOML: 3, 0.001, "word", [1, 2], { name = "liver", ids = [1] }.
/// Long lists take a line for each entry.
std::string toml_value(const Json& value);

}  // namespace mambaseg
