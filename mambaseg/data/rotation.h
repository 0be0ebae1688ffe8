#pragma once

#include "mambaseg/core/geometry.h"

namespace mambaseg {

using Matrix3 = std::array<Vector3, 3>;  ///< rows

Matrix3 product(const Matrix3& a, const Matrix3& b);

/// The turn by an angle about an array axis.
Matrix3 rotation(int axis, double radians);

}  // namespace mambaseg
