#pragma once

#include <string>

namespace mambaseg {

/// The version, and below it what the program was built with and which instructions its kernels take here.
std::string version_text();

}  // namespace mambaseg
