#include "mambaseg/metrics/distance_transform.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <optional>

namespace mambaseg {
namespace {

constexpr uint16_t kNoTarget = 0xFFFF;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double square(double x) { return x * x; }

/// Minimum over q of f(q) + (spacing (p - q))^2 for every p, by the lower envelope of the parabolas.
class ParabolaEnvelope {
 public:
  explicit ParabolaEnvelope(int64_t length) : apex_(length), border_(length) {}

  void build(const double* f, int64_t length, double spacing) {
    spacing_ = spacing;
    count_ = 0;
    for (int64_t q = 0; q < length; ++q) {
      if (f[q] == kInfinity) continue;
      double from = -kInfinity;
      while (count_ > 0) {
        const int64_t v = apex_[count_ - 1];
        from = 0.5 * (double(q + v) + (f[q] - f[v]) / (spacing * spacing * double(q - v)));
        if (from > border_[count_ - 1]) break;
        --count_;
        from = -kInfinity;
      }
      apex_[count_] = q;
      border_[count_++] = from;
    }
  }
  bool empty() const { return count_ == 0; }
  /// Index of the parabola that is lowest at p; `piece` is where to start and is moved on. p must not
  /// decrease.
  int64_t lowest(int64_t p, int64_t& piece) const {
    while (piece + 1 < count_ && border_[piece + 1] < double(p)) ++piece;
    return apex_[piece];
  }
  double value(const double* f, int64_t p, int64_t& piece) const {
    const int64_t q = lowest(p, piece);
    const double d = spacing_ * double(p - q);
    return f[q] + d * d;
  }

 private:
  std::vector<int64_t> apex_;
  std::vector<double> border_;
  int64_t count_ = 0;
  double spacing_ = 1;
};

/// Targets on a box, prepared so that the transform can be asked plane by plane.
class PlaneTransform {
 public:
  PlaneTransform(const Index3& size, const Vector3& spacing_mm)
      : n_(size),
        spacing_(spacing_mm),
        steps_k_(size_t(size[0] * size[1] * size[2]), kNoTarget),
        plane_(size_t(size[0] * size[1])),
        column_(size_t(size[1])),
        envelope_(std::max(size[0], size[1])) {}

  void add_target(int64_t i, int64_t j, int64_t k) { steps_k_[size_t(i + n_[0] * (j + n_[1] * k))] = 0; }

  /// After the last target: voxels to the nearest target along k, in two sweeps.
  void sweep_k() {
    const int64_t area = n_[0] * n_[1];
    const auto relax = [&](uint16_t* to, const uint16_t* from) {
      for (int64_t p = 0; p < area; ++p) {
        const uint16_t further = from[p] == kNoTarget ? kNoTarget : uint16_t(from[p] + 1);
        to[p] = std::min(to[p], further);
      }
    };
    for (int64_t k = 1; k < n_[2]; ++k) relax(&steps_k_[size_t(k * area)], &steps_k_[size_t((k - 1) * area)]);
    for (int64_t k = n_[2] - 2; k >= 0; --k)
      relax(&steps_k_[size_t(k * area)], &steps_k_[size_t((k + 1) * area)]);
  }

  /// After sweep_k, the squared distance of a voxel, looked for around it in growing squares: surfaces of two
  /// segmentations mostly lie within a few voxels of each other. Nothing where a farther target could be
  /// nearer.
  std::optional<double> squared_nearby(const GridPoint& p) const {
    constexpr int64_t kReach = 6;
    double best = kInfinity;
    const auto look = [&](int64_t i, int64_t j, double across) {
      if (i < 0 || i >= n_[0] || j < 0 || j >= n_[1]) return;
      const uint16_t steps = steps_k_[size_t(i + n_[0] * (j + n_[1] * p.k))];
      if (steps != kNoTarget) best = std::min(best, square(spacing_[2] * double(steps)) + across);
    };
    for (int64_t dj = 0; dj <= kReach && square(spacing_[1] * double(dj)) < best; ++dj) {
      const double across_j = square(spacing_[1] * double(dj));
      for (int64_t di = 0; di <= kReach; ++di) {
        const double across = across_j + square(spacing_[0] * double(di));
        if (across >= best) break;
        for (const int64_t j : {p.j - dj, p.j + dj})
          for (const int64_t i : {p.i - di, p.i + di}) look(i, j, across);
      }
    }
    if (best > square(std::min(spacing_[0], spacing_[1]) * double(kReach + 1))) return std::nullopt;
    return best;
  }

  /// Squared distance within the column (j and k only) for every voxel of plane k.
  void load_plane(int64_t k) {
    for (int64_t i = 0; i < n_[0]; ++i) {
      const uint16_t* steps = &steps_k_[size_t(i + n_[0] * n_[1] * k)];
      for (int64_t j = 0; j < n_[1]; ++j) {
        const double d = spacing_[2] * double(steps[j * n_[0]]);
        column_[size_t(j)] = steps[j * n_[0]] == kNoTarget ? kInfinity : d * d;
      }
      envelope_.build(column_.data(), n_[1], spacing_[1]);
      int64_t piece = 0;
      for (int64_t j = 0; j < n_[1]; ++j)
        plane_[size_t(i + n_[0] * j)] =
            envelope_.empty() ? kInfinity : envelope_.value(column_.data(), j, piece);
    }
  }

  /// Prepares row j of the loaded plane for squared_at with growing i.
  void load_row(int64_t j) {
    row_ = &plane_[size_t(n_[0] * j)];
    envelope_.build(row_, n_[0], spacing_[0]);
    piece_ = 0;
  }
  double squared_at(int64_t i) { return envelope_.empty() ? kInfinity : envelope_.value(row_, i, piece_); }

 private:
  Index3 n_;
  Vector3 spacing_;
  std::vector<uint16_t> steps_k_;
  std::vector<double> plane_, column_;
  ParabolaEnvelope envelope_;
  const double* row_ = nullptr;
  int64_t piece_ = 0;
};

}  // namespace

std::vector<double> nearest_distances(std::span<const GridPoint> queries, std::span<const GridPoint> targets,
                                      const Vector3& spacing_mm) {
  std::vector<double> distances(queries.size(), kInfinity);
  if (targets.empty() || queries.empty()) return distances;
  GridPoint low = targets[0], high = targets[0];
  for (const auto& list : {queries, targets})
    for (const GridPoint& p : list) {
      low = {std::min(low.i, p.i), std::min(low.j, p.j), std::min(low.k, p.k)};
      high = {std::max(high.i, p.i), std::max(high.j, p.j), std::max(high.k, p.k)};
    }
  const Index3 size{high.i - low.i + 1, high.j - low.j + 1, high.k - low.k + 1};
  PlaneTransform transform(size, spacing_mm);
  for (const GridPoint& p : targets) transform.add_target(p.i - low.i, p.j - low.j, p.k - low.k);
  transform.sweep_k();
  int64_t plane = -1, row = -1;  // loaded, for a plane in which the search nearby has failed once
  for (size_t q = 0; q < queries.size(); ++q) {
    const GridPoint p{queries[q].i - low.i, queries[q].j - low.j, queries[q].k - low.k};
    if (p.k != plane) {
      if (const std::optional<double> squared = transform.squared_nearby(p)) {
        distances[q] = std::sqrt(*squared);
        continue;
      }
      transform.load_plane(plane = p.k);
      row = -1;
    }
    if (p.j != row) transform.load_row(row = p.j);
    assert(q == 0 || queries[q].k != queries[q - 1].k || queries[q].j != queries[q - 1].j ||
           queries[q].i >= queries[q - 1].i);
    distances[q] = std::sqrt(transform.squared_at(p.i));
  }
  return distances;
}

std::vector<double> squared_distance_field(std::span<const uint8_t> inside, const Index3& size,
                                           const Vector3& spacing_mm) {
  assert(int64_t(inside.size()) == size[0] * size[1] * size[2]);
  PlaneTransform transform(size, spacing_mm);
  size_t voxel = 0;
  for (int64_t k = 0; k < size[2]; ++k)
    for (int64_t j = 0; j < size[1]; ++j)
      for (int64_t i = 0; i < size[0]; ++i)
        if (inside[voxel++] != 0) transform.add_target(i, j, k);
  transform.sweep_k();
  std::vector<double> field(inside.size());
  voxel = 0;
  for (int64_t k = 0; k < size[2]; ++k) {
    transform.load_plane(k);
    for (int64_t j = 0; j < size[1]; ++j) {
      transform.load_row(j);
      for (int64_t i = 0; i < size[0]; ++i) field[voxel++] = transform.squared_at(i);
    }
  }
  return field;
}

}  // namespace mambaseg
