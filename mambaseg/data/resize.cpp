#include "mambaseg/data/resize.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "mambaseg/core/error.h"
#include "mambaseg/data/interpolate.h"

namespace mambaseg {
namespace {

constexpr double kAnisotropic = 3;
constexpr int64_t kSplinePad = 12;  // repeated edge voxels before the spline filter, as SciPy's zoom has

using Taps = std::vector<Tap>;

Index3 strides_of(const Index3& size) { return {1, size[0], size[0] * size[1]}; }

/// One axis brought to `to` voxels.
Volume<float> along_axis(const Volume<float>& image, int axis, int64_t to, int order) {
  Geometry grid = image.geometry;
  const int64_t from = grid.size[axis];
  grid.size[axis] = to;
  Volume<float> out(grid);
  const auto taps = axis_taps(from, to, order);
  const Index3 in_stride = strides_of(image.geometry.size), out_stride = strides_of(grid.size);
  const int a = axis == 0 ? 1 : 0, b = axis == 2 ? 1 : 2;
  const int64_t pad = order == 3 ? kSplinePad : 0;
  at::parallel_for(0, grid.size[b], 1, [&](int64_t begin, int64_t end) {
    std::vector<double> lines(static_cast<size_t>((from + 2 * pad) * kLinesAtOnce));
    std::array<double, kLinesAtOnce> sums;
    for (int64_t y = begin; y < end; ++y)
      for (int64_t x = 0; x < grid.size[a]; x += kLinesAtOnce) {
        const int64_t count = std::min(kLinesAtOnce, grid.size[a] - x);
        const float* source = image.voxels.data() + x * in_stride[a] + y * in_stride[b];
        float* target = out.voxels.data() + x * out_stride[a] + y * out_stride[b];
        for (int64_t i = 0; i < from + 2 * pad; ++i) {
          const float* values = source + std::clamp<int64_t>(i - pad, 0, from - 1) * in_stride[axis];
          for (int64_t c = 0; c < count; ++c)
            lines[static_cast<size_t>(i * kLinesAtOnce + c)] = values[c * in_stride[a]];
        }
        if (order == 3) spline_coefficients(lines.data(), from + 2 * pad, kLinesAtOnce, count);
        for (int64_t i = 0; i < to; ++i) {
          sums.fill(0);
          for (const Tap& tap : taps[static_cast<size_t>(i)]) {
            const double* values = lines.data() + (tap.index + pad) * kLinesAtOnce;
            for (size_t c = 0; c < kLinesAtOnce; ++c) sums[c] += tap.weight * values[c];
          }
          for (int64_t c = 0; c < count; ++c)
            target[i * out_stride[axis] + c * out_stride[a]] =
                static_cast<float>(sums[static_cast<size_t>(c)]);
        }
      }
  });
  return out;
}

/// Clips the slices across `axis`, or the whole volume, to the range that they had in `original`.
void clip_to_range(Volume<float>& image, const Volume<float>& original, std::optional<int> axis) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto slice = [&](const Index3& size, int64_t voxel) {
    if (!axis) return int64_t{0};
    return voxel / strides_of(size)[*axis] % size[*axis];
  };
  const auto slices = static_cast<size_t>(axis ? original.geometry.size[*axis] : 1);
  std::vector<float> low(slices, kInfinity), high(slices, -kInfinity);
  for (size_t v = 0; v < original.voxels.size(); ++v) {
    const auto s = static_cast<size_t>(slice(original.geometry.size, static_cast<int64_t>(v)));
    low[s] = std::min(low[s], original.voxels[v]);
    high[s] = std::max(high[s], original.voxels[v]);
  }
  for (size_t v = 0; v < image.voxels.size(); ++v) {
    const auto s = static_cast<size_t>(slice(image.geometry.size, static_cast<int64_t>(v)));
    image.voxels[v] = std::clamp(image.voxels[v], low[s], high[s]);
  }
}

bool anisotropic(const Vector3& spacing_mm) {
  const auto [least, most] = std::minmax_element(spacing_mm.begin(), spacing_mm.end());
  return *most / *least > kAnisotropic;
}

}  // namespace

std::vector<Taps> axis_taps(int64_t from, int64_t to, int order) {
  const double last = static_cast<double>(from - 1);
  std::vector<Taps> out;
  for (int64_t x = 0; x < to; ++x) {
    const double at =
        (static_cast<double>(x) + 0.5) * static_cast<double>(from) / static_cast<double>(to) - 0.5;
    if (order == 0) {
      out.push_back({{static_cast<int64_t>(std::floor(std::clamp(at, 0.0, last) + 0.5)), 1}});
    } else if (order == 1) {
      const double inside = std::clamp(at, 0.0, last);
      const auto low = static_cast<int64_t>(inside);
      const double t = inside - static_cast<double>(low);
      out.push_back({{low, 1 - t}, {std::min(low + 1, from - 1), t}});
    } else {
      const double below = std::floor(at);
      const auto weights = cubic_spline_weights(at - below);
      out.emplace_back();
      for (int64_t tap = 0; tap < 4; ++tap)
        out.back().push_back({static_cast<int64_t>(below) - 1 + tap, weights[static_cast<size_t>(tap)]});
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
  Volume<float> out = image;
  for (int axis = 0; axis < 3; ++axis)
    if (axis != separate && size[axis] != image.geometry.size[axis])
      out = along_axis(out, axis, size[axis], order);
  if (order == 3) clip_to_range(out, image, separate);
  if (separate && size[*separate] != image.geometry.size[*separate])
    out = along_axis(out, *separate, size[*separate], 0);
  out.geometry = resized_grid(image.geometry, size);
  return out;
}

Volume<int32_t> resized_labels(const Volume<int32_t>& labels, const Index3& size,
                               std::optional<int> separate) {
  if (labels.geometry.size == size) return labels;
  std::array<std::vector<Taps>, 3> taps;
  for (int axis = 0; axis < 3; ++axis)
    taps[static_cast<size_t>(axis)] =
        axis_taps(labels.geometry.size[axis], size[axis], axis == separate ? 0 : 1);
  Volume<int32_t> out(resized_grid(labels.geometry, size));
  // Most voxels lie inside of a structure.
  const auto the_only_label = [&](int64_t i, int64_t j, int64_t k) -> std::optional<int32_t> {
    const auto& x = taps[0][static_cast<size_t>(i)];
    const int32_t* plain = labels.voxels.data();
    const Index3 stride = strides_of(labels.geometry.size);
    std::optional<int32_t> only;
    for (const Tap& z : taps[2][static_cast<size_t>(k)])
      for (const Tap& y : taps[1][static_cast<size_t>(j)]) {
        const int32_t* row = plain + y.index * stride[1] + z.index * stride[2];
        const int32_t front = row[x.front().index];
        if ((only && *only != front) || row[x.back().index] != front) return std::nullopt;
        only = front;
      }
    return only;
  };
  at::parallel_for(0, size[2], 1, [&](int64_t begin, int64_t end) {
    std::vector<std::pair<int32_t, double>> seen;  // label and weight
    for (int64_t k = begin; k < end; ++k)
      for (int64_t j = 0; j < size[1]; ++j)
        for (int64_t i = 0; i < size[0]; ++i) {
          seen.clear();
          if (const auto only = the_only_label(i, j, k)) {
            out.at(i, j, k) = *only;
            continue;
          }
          for (const Tap& z : taps[2][static_cast<size_t>(k)])
            for (const Tap& y : taps[1][static_cast<size_t>(j)])
              for (const Tap& x : taps[0][static_cast<size_t>(i)]) {
                const int32_t label = labels.at(x.index, y.index, z.index);
                const double weight = x.weight * y.weight * z.weight;
                const auto known = std::find_if(seen.begin(), seen.end(),
                                                [&](const auto& entry) { return entry.first == label; });
                if (known == seen.end())
                  seen.emplace_back(label, weight);
                else
                  known->second += weight;
              }
          std::optional<int32_t> largest;
          for (const auto& [label, weight] : seen)
            if (weight >= 0.5) largest = largest ? std::max(*largest, label) : label;
          out.at(i, j, k) = largest.value_or(0);
        }
  });
  return out;
}

}  // namespace mambaseg
