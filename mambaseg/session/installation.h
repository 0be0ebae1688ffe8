#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// Where models lie: share/mambaseg/models of the installation that the program, or the shared library, which
/// this code is in belongs to, and models/ of the sources that it was built from. The first that has a name
/// counts.
std::vector<std::string> model_folders();

}  // namespace mambaseg
