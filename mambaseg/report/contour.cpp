#include "mambaseg/report/contour.h"

#include <algorithm>

#include "mambaseg/core/error.h"

namespace mambaseg {

Picture draw_contour(const Picture& picture, const Picture& mask, const Colour& colour) {
  const int64_t width = picture.width, height = picture.height;
  require(mask.width == width && mask.height == height && mask.channels == 1,
          "contour: expected a grey mask of ", width, "x", height, ", got ", mask.width, "x", mask.height,
          " with ", mask.channels, " channels");
  const int64_t thickness = std::max<int64_t>(1, std::min(width, height) / 200);
  const auto inside = [&](int64_t x, int64_t y) {
    return x >= 0 && y >= 0 && x < width && y < height && mask.values[size_t(x + width * y)] > 127;
  };
  Picture out{width, height, 3, std::vector<uint8_t>(size_t(3 * width * height))};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const size_t pixel = size_t(x + width * y);
      const uint8_t* from = &picture.values[pixel * size_t(picture.channels)];
      const bool border = inside(x, y) && !(inside(x - thickness, y) && inside(x + thickness, y) &&
                                            inside(x, y - thickness) && inside(x, y + thickness));
      for (size_t c = 0; c < 3; ++c)
        out.values[3 * pixel + c] = border ? colour[c] : from[picture.channels >= 3 ? c : 0];
    }
  return out;
}

}  // namespace mambaseg
