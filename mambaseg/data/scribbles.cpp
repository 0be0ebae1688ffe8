#include "mambaseg/data/scribbles.h"

#include <algorithm>
#include <functional>
#include <map>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using Pixels = std::vector<int64_t>;  ///< places row * width + column

constexpr int64_t kNone = -1;

/// The grid of the labels, and walks on it.
class Grid {
 public:
  Grid(int64_t width, int64_t height) : width_(width), height_(height) {}

  int64_t size() const { return width_ * height_; }

  /// The neighbours of a pixel across its edges and, where `diagonal`, corners; kNone outside.
  Pixels around(int64_t pixel, bool diagonal) const {
    const int64_t row = pixel / width_, column = pixel % width_;
    Pixels out;
    for (int64_t dr = -1; dr <= 1; ++dr)
      for (int64_t dc = -1; dc <= 1; ++dc)
        if ((dr != 0) != (dc != 0) || (diagonal && dr != 0)) out.push_back(at(row + dr, column + dc));
    return out;
  }

  /// The pixels of the square of edge `width` around one.
  Pixels brush(int64_t pixel, int64_t width) const {
    const int64_t row = pixel / width_ - (width - 1) / 2, column = pixel % width_ - (width - 1) / 2;
    Pixels out;
    for (int64_t r = row; r < row + width; ++r)
      for (int64_t c = column; c < column + width; ++c)
        if (at(r, c) != kNone) out.push_back(at(r, c));
    return out;
  }

  /// Pixels in the order in which they are reached from `start`, over pixels that `enters` says yes to;
  /// `from[p]` becomes the pixel before p, of the start itself.
  Pixels walk(int64_t start, bool diagonal, const std::function<bool(int64_t pixel)>& enters,
              Pixels& from) const {
    Pixels reached{start};
    from[static_cast<size_t>(start)] = start;
    for (size_t next = 0; next < reached.size(); ++next)
      for (const int64_t pixel : around(reached[next], diagonal)) {
        if (pixel == kNone || from[static_cast<size_t>(pixel)] != kNone || !enters(pixel)) continue;
        from[static_cast<size_t>(pixel)] = reached[next];
        reached.push_back(pixel);
      }
    return reached;
  }

 private:
  int64_t at(int64_t row, int64_t column) const {
    const bool inside = row >= 0 && row < height_ && column >= 0 && column < width_;
    return inside ? row * width_ + column : kNone;
  }
  int64_t width_, height_;
};

/// How many steps each pixel of a part is inside, 1 at its edge; the edge of the picture is one.
std::vector<int64_t> depths(const Grid& grid, const Pixels& part, const std::vector<int32_t>& values) {
  std::vector<int64_t> depth(values.size(), 0);
  const int32_t label = values[static_cast<size_t>(part[0])];
  const auto is_outside = [&](int64_t pixel) {
    return pixel == kNone || values[static_cast<size_t>(pixel)] != label;
  };
  Pixels reached;
  for (const int64_t pixel : part) {
    const Pixels near = grid.around(pixel, false);
    if (std::none_of(near.begin(), near.end(), is_outside)) continue;
    depth[static_cast<size_t>(pixel)] = 1;
    reached.push_back(pixel);
  }
  for (size_t next = 0; next < reached.size(); ++next)
    for (const int64_t pixel : grid.around(reached[next], false)) {
      if (is_outside(pixel) || depth[static_cast<size_t>(pixel)] != 0) continue;
      depth[static_cast<size_t>(pixel)] = depth[static_cast<size_t>(reached[next])] + 1;
      reached.push_back(pixel);
    }
  return depth;
}

/// The stroke of a part, without its width.
Pixels stroke_in(const Grid& grid, const Pixels& part, const std::vector<int32_t>& values, Random& random) {
  const std::vector<int64_t> depth = depths(grid, part, values);
  const auto depth_of = [&](int64_t pixel) { return depth[static_cast<size_t>(pixel)]; };
  int64_t deepest = 0;
  for (const int64_t pixel : part) deepest = std::max(deepest, depth_of(pixel));
  const auto inside = [&](int64_t pixel) { return 2 * depth_of(pixel) >= deepest; };
  Pixels core;
  std::copy_if(part.begin(), part.end(), std::back_inserter(core), inside);
  const int64_t start = core[static_cast<size_t>(random.below(static_cast<int64_t>(core.size())))];
  Pixels from(values.size(), kNone);
  const Pixels reached = grid.walk(start, true, inside, from);
  Pixels stroke{reached.back()};
  while (stroke.back() != start) stroke.push_back(from[static_cast<size_t>(stroke.back())]);
  return stroke;
}

}  // namespace

PictureNumbers scribbles_of(const PictureNumbers& labels, const ScribbleSettings& settings, Random random) {
  const auto unlabelled = static_cast<int32_t>(settings.unlabelled);
  require(std::find(labels.values.begin(), labels.values.end(), unlabelled) == labels.values.end(),
          "expected labels other than ", unlabelled, ", which is to stand for unlabelled");
  const Grid grid(labels.width, labels.height);
  std::map<int32_t, std::vector<Pixels>> parts;
  Pixels from(labels.values.size(), kNone);
  const auto value = [&](int64_t pixel) { return labels.values[static_cast<size_t>(pixel)]; };
  for (int64_t pixel = 0; pixel < grid.size(); ++pixel)
    if (from[static_cast<size_t>(pixel)] == kNone)
      parts[value(pixel)].push_back(grid.walk(
          pixel, false, [&](int64_t other) { return value(other) == value(pixel); }, from));
  PictureNumbers out{labels.width, labels.height, std::vector<int32_t>(labels.values.size(), unlabelled),
                     false};
  for (const auto& [label, of_label] : parts) {
    size_t largest = 0;
    for (const Pixels& part : of_label) largest = std::max(largest, part.size());
    for (const Pixels& part : of_label) {
      if (part.size() < largest && part.size() <= static_cast<size_t>(settings.width * settings.width))
        continue;
      for (const int64_t place : stroke_in(grid, part, labels.values, random))
        for (const int64_t pixel : grid.brush(place, settings.width))
          if (value(pixel) == label) out.values[static_cast<size_t>(pixel)] = label;
    }
  }
  return out;
}

}  // namespace mambaseg
