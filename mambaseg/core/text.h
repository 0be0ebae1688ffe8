#pragma once

#include <string>

namespace mambaseg {

/// ASCII letters in lower case, everything else as it is.
std::string lower_case(std::string text);

/// "gz" of "A/b.NII.GZ" with its dot, in lower case: ".gz"; empty without one.
std::string lower_ending(const std::string& path);

/// "3 min 05 s", "12.3 s"
std::string readable_duration(double elapsed_s);

/// All bytes of a file. Throws Error that names it when it cannot be read.
std::string whole_file(const std::string& path);

}  // namespace mambaseg
