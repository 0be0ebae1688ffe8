#include "mambaseg/data/resize.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>

#include "mambaseg/core/error.h"
#include "mambaseg/data/interpolate.h"
#include "mambaseg/data/line_resampler.h"

namespace mambaseg {
namespace {

constexpr double kAnisotropic = 3;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The least and the largest values of an image, or of each slice of it across `separate`.
class Bounds {
 public:
  /// None.
  Bounds() : low_(1, -kInfinity), high_(1, kInfinity) {}

  Bounds(const Volume<float>& image, std::optional<int> separate) : separate_(separate) {
    const Index3& n = image.geometry.size;
    const auto slices = static_cast<size_t>(separate ? n[*separate] : 1);
    low_.assign(slices, kInfinity);
    high_.assign(slices, -kInfinity);
    const float* row = image.voxels.data();
    for (int64_t k = 0; k < n[2]; ++k)
      for (int64_t j = 0; j < n[1]; ++j, row += n[0])
        if (separate == 0)
          for (int64_t i = 0; i < n[0]; ++i) widen(i, row[i], row[i]);
        else
          widen_by_row(separate == 1 ? j : separate == 2 ? k : 0, row, n[0]);
  }

  /// Of lines side by side along the axis `beside`, the first of them number `first`, in slice `at` of
  /// `across`.
  Range of(int beside, int64_t first, int64_t count, int across, int64_t at) const {
    Range out;
    for (int64_t c = 0; c < kLinesAtOnce; ++c) {
      const int64_t line = first + std::min(c, count - 1);
      const auto slice = static_cast<size_t>(separate_ == beside ? line : separate_ == across ? at : 0);
      out.low[static_cast<size_t>(c)] = low_[slice];
      out.high[static_cast<size_t>(c)] = high_[slice];
    }
    return out;
  }

 private:
  void widen(int64_t slice, float low, float high) {
    const auto s = static_cast<size_t>(slice);
    low_[s] = std::min(low_[s], low);
    high_[s] = std::max(high_[s], high);
  }
  void widen_by_row(int64_t slice, const float* row, int64_t n) {
    float low = kInfinity, high = -kInfinity;
#pragma omp simd reduction(min : low) reduction(max : high)
    for (int64_t i = 0; i < n; ++i) {
      low = std::min(low, row[i]);
      high = std::max(high, row[i]);
    }
    widen(slice, low, high);
  }

  std::optional<int> separate_;
  std::vector<float> low_, high_;
};

/// The first two axes of each slice across the last brought to other sizes.
void resample_slices(const float* in, const Index3& from, float* out, const Index3& to, int order,
                     const Bounds& bounds) {
  const bool first = from[0] != to[0], second = from[1] != to[1];
  const Bounds none;
  at::parallel_for(0, from[2], 1, [&](int64_t begin, int64_t end) {
    LineResampler along_first(from[0], to[0], order), along_second(from[1], to[1], order);
    std::vector<float> room(static_cast<size_t>(first && second ? to[0] * from[1] : 0));
    for (int64_t k = begin; k < end; ++k) {
      const float* slice = in + k * from[0] * from[1];
      float* const target = out + k * to[0] * to[1];
      float* const between = second ? room.data() : target;
      for (int64_t j = 0; first && j < from[1]; j += kLinesAtOnce) {
        const int64_t count = std::min(kLinesAtOnce, from[1] - j);
        along_first({slice + j * from[0], 1, from[0], count}, {between + j * to[0], 1, to[0], count},
                    (second ? none : bounds).of(1, j, count, 2, k));
      }
      if (first) slice = between;
      for (int64_t i = 0; second && i < to[0]; i += kLinesAtOnce) {
        const int64_t count = std::min(kLinesAtOnce, to[0] - i);
        along_second({slice + i, to[0], 1, count}, {target + i, to[0], 1, count},
                     bounds.of(0, i, count, 2, k));
      }
    }
  });
}

/// The last axis brought to `to` voxels.
void resample_last(const float* in, const Index3& size, float* out, int64_t to, int order,
                   const Bounds& bounds) {
  const int64_t step = size[0] * size[1];
  at::parallel_for(0, size[1], 1, [&](int64_t begin, int64_t end) {
    LineResampler along_last(size[2], to, order);
    for (int64_t j = begin; j < end; ++j)
      for (int64_t i = 0; i < size[0]; i += kLinesAtOnce) {
        const int64_t count = std::min(kLinesAtOnce, size[0] - i), at = i + j * size[0];
        along_last({in + at, step, 1, count}, {out + at, step, 1, count}, bounds.of(0, i, count, 1, j));
      }
  });
}

Volume<float> interpolated(const Volume<float>& image, const Index3& size, int order, const Bounds& bounds) {
  const Index3& from = image.geometry.size;
  if (size == from) return image;
  Geometry grid = image.geometry;
  grid.size = size;
  Volume<float> out(grid);
  const float* in = image.voxels.data();
  if (size[2] == from[2]) {
    resample_slices(in, from, out.voxels.data(), size, order, bounds);
    return out;
  }
  const Index3 between{size[0], size[1], from[2]};
  std::unique_ptr<float[]> slices;
  if (between != from) {
    slices =
        std::make_unique_for_overwrite<float[]>(static_cast<size_t>(between[0] * between[1] * between[2]));
    resample_slices(in, from, slices.get(), between, order, {});
    in = slices.get();
  }
  resample_last(in, between, out.voxels.data(), size[2], order, bounds);
  return out;
}

/// Of the slices across `axis` the nearest ones.
Volume<float> nearest_slices(const Volume<float>& image, int axis, int64_t to) {
  Geometry grid = image.geometry;
  const AxisTaps taps = axis_taps(grid.size[axis], to, 0);
  grid.size[axis] = to;
  Volume<float> out(grid);
  float* target = out.voxels.data();
  for (int64_t k = 0; k < grid.size[2]; ++k)
    for (int64_t j = 0; j < grid.size[1]; ++j)
      for (int64_t i = 0; i < grid.size[0]; ++i) {
        Index3 from{i, j, k};
        from[axis] = taps[from[axis]].front().index;
        *target++ = image.at(from[0], from[1], from[2]);
      }
  return out;
}

bool anisotropic(const Vector3& spacing_mm) {
  const auto [least, most] = std::minmax_element(spacing_mm.begin(), spacing_mm.end());
  return *most / *least > kAnisotropic;
}

}  // namespace

AxisTaps axis_taps(int64_t from, int64_t to, int order) {
  const double last = static_cast<double>(from - 1);
  AxisTaps out;
  out.each = order == 0 ? 1 : order == 1 ? 2 : 4;
  for (int64_t x = 0; x < to; ++x) {
    const double at =
        (static_cast<double>(x) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    if (order == 0) {
      out.all.push_back({static_cast<int64_t>(std::floor(std::clamp(at, 0.0, last) + 0.5)), 1});
    } else if (order == 1) {
      const double inside = std::clamp(at, 0.0, last);
      const auto low = static_cast<int64_t>(inside);
      const double t = inside - static_cast<double>(low);
      out.all.push_back({low, 1 - t});
      out.all.push_back({std::min(low + 1, from - 1), t});
    } else {
      const double below = std::floor(at);
      const auto weights = cubic_spline_weights(at - below);
      for (int64_t tap = 0; tap < 4; ++tap)
        out.all.push_back({static_cast<int64_t>(below) - 1 + tap, weights[static_cast<size_t>(tap)]});
    }
  }
  return out;
}

Index3 resized_size(const Index3& size, const Vector3& from_mm, const Vector3& to_mm) {
  Index3 out{};
  for (int axis = 0; axis < 3; ++axis) {
    const double voxels = from_mm[axis] / to_mm[axis] * static_cast<double>(size[axis]);
    out[axis] = std::max<int64_t>(1, static_cast<int64_t>(std::nearbyint(voxels)));
  }
  return out;
}

Geometry resized_grid(const Geometry& grid, const Index3& size) {
  Geometry out = grid;
  out.size = size;
  Vector3 first{};
  for (int axis = 0; axis < 3; ++axis) {
    const double ratio = static_cast<double>(grid.size[axis]) / static_cast<double>(size[axis]);
    first[axis] = 0.5 * ratio - 0.5;
    for (int row = 0; row < 3; ++row) out.voxel_to_ras_mm.matrix[row][axis] *= ratio;
  }
  out.voxel_to_ras_mm.offset = grid.voxel_to_ras_mm(first);
  return out;
}

std::optional<int> separate_axis(const Vector3& from_mm, const Vector3& to_mm) {
  for (const Vector3& spacing : {from_mm, to_mm}) {
    if (!anisotropic(spacing)) continue;
    const auto most = std::max_element(spacing.begin(), spacing.end());
    if (std::count(spacing.begin(), spacing.end(), *most) > 1) return std::nullopt;
    return static_cast<int>(most - spacing.begin());
  }
  return std::nullopt;
}

Volume<float> resized(const Volume<float>& image, const Index3& size, int order,
                      std::optional<int> separate) {
  require(order == 1 || order == 3, "resampling: expected order 1 or 3, got ", order);
  if (image.geometry.size == size) return image;
  Index3 slices = size;
  if (separate) slices[*separate] = image.geometry.size[*separate];
  Volume<float> out = interpolated(image, slices, order, order == 3 ? Bounds(image, separate) : Bounds());
  if (slices != size) out = nearest_slices(out, *separate, size[*separate]);
  out.geometry = resized_grid(image.geometry, size);
  return out;
}

}  // namespace mambaseg
