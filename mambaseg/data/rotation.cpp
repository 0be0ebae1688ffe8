#include "mambaseg/data/rotation.h"

#include <cmath>

namespace mambaseg {

Matrix3 product(const Matrix3& a, const Matrix3& b) {
  Matrix3 out{};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 3; ++k) out[i][j] += a[i][k] * b[k][j];
  return out;
}

Matrix3 rotation(int axis, double radians) {
  Matrix3 out{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  const int p = (axis + 1) % 3, q = (axis + 2) % 3;
  out[p][p] = out[q][q] = std::cos(radians);
  out[p][q] = -std::sin(radians);
  out[q][p] = std::sin(radians);
  return out;
}

}  // namespace mambaseg
