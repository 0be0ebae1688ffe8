#pragma once

#include <string>

#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {

/// The pixels of a picture file as it stores them: rows from the top, channels (1 grey, 2 grey and alpha, 3
/// RGB, 4 RGBA) interleaved, in uint8_t or uint16_t.
struct DecodedPicture {
  int64_t width = 0;
  int64_t height = 0;
  int channels = 1;
  VoxelData values;
};

/// Unpacks a JPEG file: grey, or RGB (of YCbCr, CMYK and YCCK as well). Throws Error with the cause when it
/// is damaged so that pixels are lost.
DecodedPicture decode_jpeg(const std::string& bytes);

/// Unpacks an uncompressed BMP file to RGB. Throws Error with the cause.
DecodedPicture decode_bmp(const std::string& bytes);

/// What the pixels of a PNG file are: colours to be seen (palettes become RGB, colours that count as
/// transparent become alpha, 1, 2 or 4 bits become 8) or the numbers that are stored (a palette's are
/// indices).
enum class PngPixels { kColours, kNumbers };

/// Unpacks a PNG file. Throws Error with the cause.
DecodedPicture decode_png(const std::string& bytes, PngPixels pixels);

/// Packs a picture of 1, 3 or 4 channels. Throws Error with the cause.
std::string encode_png(const Picture& picture);
/// Packs a picture of 1 or 3 channels; `quality` from 1 to 100. Throws Error with the cause.
std::string encode_jpeg(const Picture& picture, int quality);

}  // namespace mambaseg
