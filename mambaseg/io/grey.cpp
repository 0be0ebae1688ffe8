#include <cmath>

#include "mambaseg/io/picture.h"

namespace mambaseg {

Picture to_grey(const Picture& picture) {
  if (picture.channels < 3) return picture;
  Picture grey{picture.width, picture.height, 1, {}};
  const auto step = static_cast<size_t>(picture.channels);
  for (size_t i = 0; i < picture.values.size(); i += step)
    grey.values.push_back(static_cast<uint8_t>(std::lround(
        0.299 * picture.values[i] + 0.587 * picture.values[i + 1] + 0.114 * picture.values[i + 2])));
  return grey;
}

}  // namespace mambaseg
