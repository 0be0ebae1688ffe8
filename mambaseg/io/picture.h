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

/// True for names that end like PNG, JPEG or BMP.
bool is_picture_name(const std::string& path);

/// True for names that end like a picture of a format that is not read (TIFF, GIF, ...).
bool is_other_picture_name(const std::string& path);

/// Reads PNG, JPEG or BMP, turned as the file says it is to be shown (exif.h). 16-bit values are brought to 8
/// bits; grey with alpha loses its alpha. Throws Error naming the path.
Picture read_picture(const std::string& path);

/// The picture in grey, without alpha: 0.299 R + 0.587 G + 0.114 B (luma of ITU-R BT.601).
Picture to_grey(const Picture& picture);

/// Writes PNG or JPEG by the file name, atomically. Throws Error naming the path.
void write_picture(const std::string& path, const Picture& picture);

}  // namespace mambaseg
