#pragma once

#include <string>

namespace mambaseg {

/// The SHA-256 digest (FIPS 180-4) of `bytes`, as 64 small hexadecimal digits.
std::string sha256(const std::string& bytes);

/// That of a file. Throws Error that names it when it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace mambaseg
