#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// Where models lie: share/mambaseg/models beside the folder of the program, as it is installed, and models/
/// of the sources that it was built from. The first that has a name counts.
std::vector<std::string> model_folders();

}  // namespace mambaseg
