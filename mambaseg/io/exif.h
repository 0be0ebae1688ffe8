#pragma once

#include <string>

#include "mambaseg/io/picture.h"

namespace mambaseg {

/// How a JPEG or PNG file says that its rows and columns are to be shown: the Exif tag Orientation (0x0112),
/// 1 to 8; 1, as stored, without such a tag, where the Exif part is damaged, and in other files.
int exif_orientation(const std::string& file_bytes);

/// The picture as it is to be shown.
///   1 as stored   2 mirrored   3 turned by 180 degrees   4 upside down
///   5 transposed  6 turned right by 90 degrees  7 transposed and turned by 180  8 turned left by 90
Picture upright(const Picture& stored, int orientation);

}  // namespace mambaseg
