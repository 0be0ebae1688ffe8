#pragma once

#include <string>

#include "mambaseg/config/recipe.h"

namespace mambaseg {

/// A recipe with every setting, as TOML that train takes: behind each value stands where it comes from, below
/// it what it means and its limits. Throws UsageError when no network or loss can be made by it.
std::string explained(const Recipe& recipe);

}  // namespace mambaseg
