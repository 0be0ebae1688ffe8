#pragma once

#include "mambaseg/io/picture.h"
#include "mambaseg/report/palette.h"

namespace mambaseg {

/// `picture` in colour with the border of `mask` (grey, above 127 is inside; same size) drawn along its inner
/// side, wide enough to be seen on large pictures. Throws Error when the sizes differ.
Picture draw_contour(const Picture& picture, const Picture& mask, const Colour& colour);

}  // namespace mambaseg
