#include "mambaseg/core/geometry.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr std::array<std::array<char, 2>, 3> kDirections{{{'L', 'R'}, {'P', 'A'}, {'I', 'S'}}};

/// Eigenvalues and eigenvectors (columns of v) of a symmetric 3x3 matrix by Jacobi rotations.
void symmetric_eigen(std::array<Vector3, 3> a, Vector3& values, std::array<Vector3, 3>& v) {
  v = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  for (int sweep = 0; sweep < 50; ++sweep) {
    const double off = a[0][1] * a[0][1] + a[0][2] * a[0][2] + a[1][2] * a[1][2];
    if (off < 1e-30) break;
    for (int p = 0; p < 2; ++p)
      for (int q = p + 1; q < 3; ++q) {
        if (a[p][q] == 0) continue;
        const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1);
        const double s = t * c;
        for (int k = 0; k < 3; ++k) {
          const double akp = a[k][p];
          const double akq = a[k][q];
          a[k][p] = c * akp - s * akq;
          a[k][q] = s * akp + c * akq;
        }
        for (int k = 0; k < 3; ++k) {
          const double apk = a[p][k];
          const double aqk = a[q][k];
          a[p][k] = c * apk - s * aqk;
          a[q][k] = s * apk + c * aqk;
        }
        for (int k = 0; k < 3; ++k) {
          const double vkp = v[k][p];
          const double vkq = v[k][q];
          v[k][p] = c * vkp - s * vkq;
          v[k][q] = s * vkp + c * vkq;
        }
      }
  }
  values = {a[0][0], a[1][1], a[2][2]};
}

/// The orthonormal matrix nearest to the column-normalised voxel axes (polar factor), as nibabel's
/// io_orientation uses.
std::array<Vector3, 3> nearest_rotation(const std::array<Vector3, 3>& matrix, const Vector3& spacing) {
  std::array<Vector3, 3> r{};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) r[i][j] = spacing[j] > 0 ? matrix[i][j] / spacing[j] : 0;
  std::array<Vector3, 3> gram{};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 3; ++k) gram[i][j] += r[k][i] * r[k][j];
  Vector3 values{};
  std::array<Vector3, 3> v{};
  symmetric_eigen(gram, values, v);
  std::array<Vector3, 3> inverse_root{};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 3; ++k)
        if (values[k] > 1e-12) inverse_root[i][j] += v[i][k] * v[j][k] / std::sqrt(values[k]);
  std::array<Vector3, 3> polar{};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 3; ++k) polar[i][j] += r[i][k] * inverse_root[k][j];
  return polar;
}

}  // namespace

Vector3 Affine::operator()(const Vector3& x) const {
  Vector3 y = offset;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) y[i] += matrix[i][j] * x[j];
  return y;
}

double Affine::determinant() const {
  const auto& m = matrix;
  return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
         m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
         m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

Affine Affine::inverse() const {
  const double d = determinant();
  require(std::isfinite(d) && d != 0, "geometry: the voxel-to-mm matrix has no inverse (determinant ", d,
          ")");
  const auto& m = matrix;
  Affine out;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      const int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, e = (i + 2) % 3;
      out.matrix[i][j] = (m[a][c] * m[b][e] - m[a][e] * m[b][c]) / d;
    }
  out.offset = {0, 0, 0};
  const Vector3 moved = out(offset);
  for (int i = 0; i < 3; ++i) out.offset[i] = -moved[i];
  return out;
}

Affine compose(const Affine& first, const Affine& second) {
  Affine out;
  out.offset = first(second.offset);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      out.matrix[i][j] = 0;
      for (int k = 0; k < 3; ++k) out.matrix[i][j] += first.matrix[i][k] * second.matrix[k][j];
    }
  return out;
}

Vector3 Geometry::spacing_mm() const {
  const auto& m = voxel_to_ras_mm.matrix;
  Vector3 spacing{};
  for (int j = 0; j < 3; ++j)
    spacing[j] = std::sqrt(m[0][j] * m[0][j] + m[1][j] * m[1][j] + m[2][j] * m[2][j]);
  return spacing;
}

double Geometry::voxel_volume_mm3() const { return std::abs(voxel_to_ras_mm.determinant()); }

std::string Geometry::orientation() const {
  auto weight = nearest_rotation(voxel_to_ras_mm.matrix, spacing_mm());
  std::string word(3, '?');
  std::array<bool, 3> taken{};
  for (int axis = 0; axis < 3; ++axis) {  // nibabel's order: each array axis takes its largest free direction
    int best = -1;
    for (int world = 0; world < 3; ++world)
      if (!taken[world] && (best < 0 || std::abs(weight[world][axis]) > std::abs(weight[best][axis])))
        best = world;
    taken[best] = true;
    word[static_cast<size_t>(axis)] = kDirections[best][weight[best][axis] >= 0 ? 1 : 0];
  }
  return word;
}

bool same_grid(const Geometry& a, const Geometry& b, double tolerance_mm) {
  if (a.size != b.size) return false;
  for (int corner = 0; corner < 8; ++corner) {
    Vector3 voxel{};
    for (int axis = 0; axis < 3; ++axis)
      voxel[axis] = (corner >> axis & 1) ? static_cast<double>(a.size[axis] - 1) : 0;
    const Vector3 pa = a.voxel_to_ras_mm(voxel);
    const Vector3 pb = b.voxel_to_ras_mm(voxel);
    for (int axis = 0; axis < 3; ++axis)
      if (!(std::abs(pa[axis] - pb[axis]) <= tolerance_mm)) return false;
  }
  return true;
}

std::string describe(const Geometry& geometry) {
  const Vector3 s = geometry.spacing_mm();
  return concat(geometry.size[0], "x", geometry.size[1], "x", geometry.size[2], " voxels of ", s[0], " x ",
                s[1], " x ", s[2], " mm, ", geometry.orientation());
}

AxisPermutation permutation_between(const std::string& from, const std::string& to) {
  const auto world_axis = [](const std::string& word, char letter) {
    for (int world = 0; world < 3; ++world)
      for (const char c : kDirections[world])
        if (c == letter) return world;
    throw Error(concat("orientation: expected three letters such as RAS or LIA, got \"", word, "\""));
  };
  require(from.size() == 3 && to.size() == 3,
          "orientation: expected three letters such as RAS or LIA, got \"", from, "\" and \"", to, "\"");
  AxisPermutation p;
  for (int out = 0; out < 3; ++out) {
    int found = -1;
    for (int in = 0; in < 3; ++in)
      if (world_axis(from, from[in]) == world_axis(to, to[out])) found = in;
    require(found >= 0, "orientation: \"", from, "\" does not name each axis once");
    for (int earlier = 0; earlier < out; ++earlier)
      require(p.axis[earlier] != found, "orientation: \"", to, "\" does not name each axis once");
    p.axis[out] = found;
    p.flip[out] = from[found] != to[out];
  }
  return p;
}

Geometry permuted(const Geometry& geometry, const AxisPermutation& p) {
  Geometry out;
  Affine new_to_old;
  for (int out_axis = 0; out_axis < 3; ++out_axis) {
    const int in_axis = p.axis[out_axis];
    out.size[out_axis] = geometry.size[in_axis];
    for (int row = 0; row < 3; ++row) new_to_old.matrix[row][out_axis] = 0;
    new_to_old.matrix[in_axis][out_axis] = p.flip[out_axis] ? -1 : 1;
    if (p.flip[out_axis]) new_to_old.offset[in_axis] = static_cast<double>(geometry.size[in_axis] - 1);
  }
  out.voxel_to_ras_mm = compose(geometry.voxel_to_ras_mm, new_to_old);
  return out;
}

}  // namespace mambaseg
