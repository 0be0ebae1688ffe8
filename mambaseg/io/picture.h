#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mambaseg {

/// A 2-D picture: `channels` (1 grey, 3 RGB, 4 RGBA) interleaved 8-bit values, rows from the top.
struct Picture {
  int64_t width = 0;
  int64_t height = 0;
  int channels = 1;
  std::vector<uint8_t> values;
};

/// Reads PNG, JPEG or BMP. Throws Error naming the path.
Picture read_picture(const std::string& path);

/// Writes PNG or JPEG by the file name, atomically. Throws Error naming the path.
void write_picture(const std::string& path, const Picture& picture);

}  // namespace mambaseg
