#pragma once

#include <string>

#include "mambaseg/io/image.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {

/// Reads the bytes as an image file of that name: its geometry first, then all of it.
inline void read_as_image(const std::string& bytes, const std::string& path) {
  write_bytes(path, bytes);
  const Warn warn = [](const std::string&) {};
  read_geometry(path, warn);
  read_image(path, warn);
}

}  // namespace mambaseg
