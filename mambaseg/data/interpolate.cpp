#include "mambaseg/data/interpolate.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/data/lines.h"

namespace mambaseg {
namespace {

std::vector<double> volume_coefficients(const Volume<float>& volume) {
  std::vector<double> c(volume.voxels.begin(), volume.voxels.end());
  const Index3& n = volume.geometry.size;
  const Index3 stride{1, n[0], n[0] * n[1]};
  for (int axis = 0; axis < 3; ++axis) {
    const int a = axis == 0 ? 1 : 0;
    const int b = axis == 2 ? 1 : 2;
#pragma omp parallel for
    for (int64_t y = 0; y < n[b]; ++y) {
      std::vector<double> room(static_cast<size_t>(n[axis] * kLinesAtOnce));
      for (int64_t x = 0; x < n[a]; x += kLinesAtOnce) {
        const Lines<double> lines{c.data() + x * stride[a] + y * stride[b], stride[axis], stride[a],
                                  std::min(kLinesAtOnce, n[a] - x)};
        gather<double>({lines.first, lines.along, lines.beside, lines.count}, n[axis], room.data());
        spline_coefficients(room.data(), n[axis]);
        scatter(room.data(), n[axis], lines);
      }
    }
  }
  return c;
}

int64_t mirrored(int64_t i, int64_t n) {
  if (n == 1) return 0;
  if (i < 0) i = -i;
  return i >= n ? 2 * (n - 1) - i : i;
}

double snapped(double x) {
  const double whole = std::nearbyint(x);
  return std::abs(x - whole) < 1e-9 ? whole : x;
}

}  // namespace

std::array<double, 4> cubic_spline_weights(double t) {
  const double u = 1 - t;
  return {u * u * u / 6, (4 - 6 * t * t + 3 * t * t * t) / 6, (4 - 6 * u * u + 3 * u * u * u) / 6,
          t * t * t / 6};
}

Sampler::Sampler(const Volume<float>& values, int order) : values_(values), order_(order) {
  require(order == 0 || order == 1 || order == 3, "interpolation: expected order 0, 1 or 3, got ", order);
  if (order == 3) coefficients_ = volume_coefficients(values);
}

double Sampler::operator()(const Vector3& voxel) const {
  Vector3 x{};
  for (int axis = 0; axis < 3; ++axis) {
    x[axis] = snapped(voxel[axis]);
    if (!(x[axis] >= 0 && x[axis] <= static_cast<double>(values_.geometry.size[axis] - 1))) return 0;
  }
  return order_ == 0 ? nearest(x) : order_ == 1 ? linear(x) : cubic(x);
}

double Sampler::nearest(const Vector3& x) const {
  return values_.at(static_cast<int64_t>(x[0] + 0.5), static_cast<int64_t>(x[1] + 0.5),
                    static_cast<int64_t>(x[2] + 0.5));
}

double Sampler::linear(const Vector3& x) const {
  std::array<int64_t, 3> low{}, high{};
  std::array<double, 3> t{};
  for (int axis = 0; axis < 3; ++axis) {
    low[axis] = static_cast<int64_t>(x[axis]);
    high[axis] = std::min(low[axis] + 1, values_.geometry.size[axis] - 1);
    t[axis] = x[axis] - static_cast<double>(low[axis]);
  }
  const auto row = [&](int64_t j, int64_t k) {
    return (1 - t[0]) * values_.at(low[0], j, k) + t[0] * values_.at(high[0], j, k);
  };
  const double front = (1 - t[1]) * row(low[1], low[2]) + t[1] * row(high[1], low[2]);
  const double back = (1 - t[1]) * row(low[1], high[2]) + t[1] * row(high[1], high[2]);
  return (1 - t[2]) * front + t[2] * back;
}

double Sampler::cubic(const Vector3& x) const {
  const Index3& n = values_.geometry.size;
  std::array<std::array<double, 4>, 3> weight{};
  std::array<std::array<int64_t, 4>, 3> offset{};
  const Index3 stride{1, n[0], n[0] * n[1]};
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t low = static_cast<int64_t>(x[axis]);
    weight[axis] = cubic_spline_weights(x[axis] - static_cast<double>(low));
    for (int64_t tap = 0; tap < 4; ++tap) offset[axis][tap] = mirrored(low - 1 + tap, n[axis]) * stride[axis];
  }
  double sum = 0;
  for (int c = 0; c < 4; ++c)
    for (int b = 0; b < 4; ++b) {
      const double* row = coefficients_.data() + offset[2][c] + offset[1][b];
      double along = 0;
      for (int a = 0; a < 4; ++a) along += weight[0][a] * row[offset[0][a]];
      sum += weight[2][c] * weight[1][b] * along;
    }
  return sum;
}

bool is_index_map(const Affine& map) {
  constexpr double kTurn = 1e-6;   // directions
  constexpr double kShift = 1e-4;  // a position in voxels, off by the rounding of a header
  for (int row = 0; row < 3; ++row) {
    double length = 0;
    for (int column = 0; column < 3; ++column) {
      const double x = map.matrix[row][column];
      if (!(std::abs(x - std::nearbyint(x)) <= kTurn)) return false;
      length += std::abs(x);
    }
    const double shift = map.offset[row];
    if (std::abs(length - 1) > 3 * kTurn || !(std::abs(shift - std::nearbyint(shift)) <= kShift))
      return false;
  }
  return std::abs(std::abs(map.determinant()) - 1) < 1e-3;
}

Affine voxel_map(const Geometry& target, const Geometry& source) {
  Affine map = compose(source.voxel_to_ras_mm.inverse(), target.voxel_to_ras_mm);
  if (!is_index_map(map)) return map;
  for (int row = 0; row < 3; ++row) {
    map.offset[row] = std::nearbyint(map.offset[row]);
    for (double& x : map.matrix[row]) x = std::nearbyint(x);
  }
  return map;
}

void resample(const Sampler& sampler, const Affine& to_source, const Index3& n,
              const std::function<void(size_t, double)>& write) {
#pragma omp parallel for
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i)
        write(static_cast<size_t>(i + n[0] * (j + n[1] * k)),
              sampler(to_source({static_cast<double>(i), static_cast<double>(j), static_cast<double>(k)})));
}

template <class T>
Volume<T> resample_labels(const Volume<T>& labels, const Geometry& target) {
  Volume<T> out(target);
  const Affine to_source = voxel_map(target, labels.geometry);
  const Index3& n = target.size;
#pragma omp parallel for
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i) {
        const Vector3 x = to_source({static_cast<double>(i), static_cast<double>(j), static_cast<double>(k)});
        Index3 voxel{};
        bool inside = true;
        for (int axis = 0; axis < 3; ++axis) {
          const double at = std::floor(snapped(x[axis] + 0.5));
          inside = inside && at >= 0 && at < static_cast<double>(labels.geometry.size[axis]);
          if (inside) voxel[axis] = static_cast<int64_t>(at);
        }
        if (inside) out.at(i, j, k) = labels.at(voxel[0], voxel[1], voxel[2]);
      }
  return out;
}

template Volume<uint8_t> resample_labels(const Volume<uint8_t>&, const Geometry&);
template Volume<int32_t> resample_labels(const Volume<int32_t>&, const Geometry&);

}  // namespace mambaseg
