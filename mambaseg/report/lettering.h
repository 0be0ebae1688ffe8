#pragma once

#include <string>

#include "mambaseg/io/picture.h"
#include "mambaseg/report/palette.h"

namespace mambaseg {

/// Width and height in pixels of one letter with its gap, at size 1.
constexpr int64_t kLetterWidth = 6, kLetterHeight = 8;

/// Writes `text` in capitals (letters, digits and . , : - + / % = ( ) _) into an RGB picture, its upper left
/// corner at (x, y), `size` pixels for each dot of a letter. What lies outside is cut off; an unknown
/// character is a gap.
void write_letters(Picture& picture, const std::string& text, int64_t x, int64_t y, int size, Colour colour);

}  // namespace mambaseg
