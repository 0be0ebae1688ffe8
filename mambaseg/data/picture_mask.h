#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mambaseg {

/// The numbers that a picture of labels or a mask holds, rows from the top: grey values, of 16-bit grey
/// pictures their 16 bits.
struct PictureNumbers {
  int64_t width = 0, height = 0;
  std::vector<int32_t> values;
  bool jpeg = false;  ///< values are near those that were saved
};

/// The label numbers of colours, red, green and blue.
using MaskColours = std::map<std::array<uint8_t, 3>, int32_t>;

/// Reads names of colours as "#ff0000". UsageError for other names, numbers that are negative or too large.
MaskColours mask_colours(const std::map<std::string, int64_t>& numbers);

/// Reads PNG, JPEG or BMP. With `colours` each pixel is the number of its colour, and black, unless it is
/// named, 0; other colours and JPEGs, whose colours are not exact, are refused. Without them colours count by
/// their grey where there are two and one is black, or when the file is a JPEG; other coloured pictures are
/// refused. Throws Error naming the path.
PictureNumbers read_picture_numbers(const std::string& path, const MaskColours& colours = {});

/// Whether this can only be a mask, and no map of label numbers: a JPEG, or mostly black and white.
bool shows_a_mask(const PictureNumbers& picture);

/// Whether there are greys between black and white.
bool has_grey_edges(const PictureNumbers& picture);

/// The one structure of a mask, 1 or 0 a pixel (docs/pictures.md): where values are above `threshold` (of
/// 255), when some are; else the one value beside 0, so that masks of 0 and 1 and palettes of two colours
/// work. Throws Error when several values remain, which may be label numbers.
std::vector<uint8_t> structure_of(const PictureNumbers& picture, int64_t threshold = 127);

}  // namespace mambaseg
