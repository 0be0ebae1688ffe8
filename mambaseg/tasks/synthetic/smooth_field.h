#pragma once

#include <array>
#include <vector>

#include "mambaseg/core/geometry.h"
#include "mambaseg/core/random.h"

namespace mambaseg {

/// Places first, first + step, ... along each axis.
struct Lattice {
  Vector3 first{0, 0, 0};
  double step = 1;
  Index3 size{0, 0, 0};

  double at(int axis, int64_t x) const { return first[axis] + step * static_cast<double>(x); }
};

/// A smooth random function of space: cubic B-splines on nodes `spacing` apart, with normal coefficients,
/// scaled to mean 0 and standard deviation 1.
class SmoothField {
 public:
  /// Standard deviation of its slope along an axis, times the spacing.
  static constexpr double kSlope = 1.18;

  /// Defined from `low` to `high` along each axis.
  SmoothField(const Vector3& low, const Vector3& high, double spacing, Random& random);

 private:
  friend class FieldRows;
  Vector3 low_;
  double spacing_;
  Index3 nodes_;
  std::vector<float> coefficients_;  ///< last axis fastest
};

/// A field on a lattice, row after row: what rows have in common is computed once. The field must outlive it.
class FieldRows {
 public:
  FieldRows(const SmoothField& field, const Lattice& lattice);

  /// Values along the last axis; valid until the next call. Cheapest with the last index but one fastest.
  const float* row(int64_t i, int64_t j);

 private:
  struct Place {
    int64_t node;  ///< the first of four
    std::array<float, 4> weights;
  };

  const SmoothField& field_;
  std::array<std::vector<Place>, 3> places_;
  int64_t plane_at_ = -1;
  std::vector<float> plane_, line_, row_;
};

}  // namespace mambaseg
