#include "mambaseg/metrics/surfels.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/metrics/surface.h"

namespace mambaseg {
namespace {

/// The triangles of one way to fill the corners of a unit cube; each as area times normal. All 256 ways
/// follow by turning and mirroring the cube and by exchanging inside and outside.
struct Pattern {
  uint8_t corners;
  std::vector<Vector3> triangles;
};

// A corner on its own is cut off by one triangle (1/8 in each
// component); a pair along an edge by a rectangle; corners that touch only across a face or the cube stay
// apart.
const std::vector<Pattern>& patterns() {
  constexpr double e = 0.125;
  static const std::vector<Pattern> list{
      {0b00000001, {{e, e, e}}},
      {0b00000011, {{0, 2 * e, 2 * e}, {0, 2 * e, 2 * e}}},
      {0b00001001, {{e, e, e}, {e, e, e}}},
      {0b10000001, {{e, e, e}, {e, e, e}}},
      {0b00000111, {{0, 0, 4 * e}, {2 * e, 2 * e, 2 * e}, {e, e, e}}},
      {0b10000011, {{0, 2 * e, 2 * e}, {0, 2 * e, 2 * e}, {e, e, e}}},
      {0b00010110, {{e, e, e}, {e, e, e}, {e, e, e}}},
      {0b00001111, {{0, 0, 4 * e}, {0, 0, 4 * e}}},
      {0b00010111, {{e, e, e}, {e, e, e}, {2 * e, 2 * e, 2 * e}, {2 * e, 2 * e, 2 * e}}},
      {0b00100111, {{2 * e, 2 * e, 0}, {2 * e, 0, 2 * e}, {e, e, e}, {3 * e, 3 * e, 3 * e}}},
      {0b10000111, {{0, 0, 4 * e}, {2 * e, 2 * e, 2 * e}, {e, e, e}, {e, e, e}}},
      {0b11000011, {{0, 2 * e, 2 * e}, {0, 2 * e, 2 * e}, {0, 2 * e, 2 * e}, {0, 2 * e, 2 * e}}},
      {0b01101001, {{e, e, e}, {e, e, e}, {e, e, e}, {e, e, e}}},
  };
  return list;
}

/// The corner code after new axis a takes old axis order[a], mirrored when bit a of `flips` is set.
uint8_t moved(uint8_t corners, const std::array<int, 3>& order, int flips) {
  uint8_t out = 0;
  for (int corner = 0; corner < 8; ++corner) {
    if (!(corners >> corner & 1)) continue;
    int to = 0;
    for (int a = 0; a < 3; ++a) to |= ((corner >> order[a] & 1) ^ (flips >> a & 1)) << a;
    out |= uint8_t(1 << to);
  }
  return out;
}

std::array<double, 256> cube_areas(const Vector3& s) {
  std::array<double, 256> areas{};
  std::array<int, 3> order{0, 1, 2};
  for (const Pattern& pattern : patterns()) {
    do {
      double area = 0;
      for (const Vector3& t : pattern.triangles)
        area += std::hypot(t[order[0]] * s[1] * s[2], t[order[1]] * s[0] * s[2], t[order[2]] * s[0] * s[1]);
      for (int flips = 0; flips < 8; ++flips) {
        const uint8_t corners = moved(pattern.corners, order, flips);
        areas[corners] = areas[uint8_t(~corners)] = area;
      }
    } while (std::next_permutation(order.begin(), order.end()));
  }
  return areas;
}

/// Marching squares on the axes a and b: codes use the bits of the corners with the third coordinate 0.
std::array<double, 256> square_lengths(const Vector3& s, int a, int b) {
  std::array<double, 256> lengths{};
  const int bit_a = 1 << a, bit_b = 1 << b;
  const double diagonal = 0.5 * std::hypot(s[a], s[b]);
  const int corners[4] = {0, bit_a, bit_a | bit_b, bit_b};  // round the square
  const auto code = [&](int inside) {
    int bits = 0;
    for (int c = 0; c < 4; ++c)
      if (inside >> c & 1) bits |= 1 << corners[c];
    return size_t(bits);
  };
  for (int c = 0; c < 4; ++c) {
    lengths[code(1 << c)] = lengths[code(0b1111 ^ (1 << c))] = diagonal;
    const bool along_a = c % 2 == 0;  // the pair c, c + 1 lies along a, and so does the border beside it
    lengths[code(1 << c | 1 << (c + 1) % 4)] = along_a ? s[a] : s[b];
  }
  lengths[code(0b0101)] = lengths[code(0b1010)] = 2 * diagonal;
  return lengths;
}

}  // namespace

std::array<double, 256> surfel_areas(const Vector3& spacing_mm, const std::array<bool, 3>& used) {
  std::vector<int> axes;
  for (int axis = 0; axis < 3; ++axis)
    if (used[axis]) axes.push_back(axis);
  if (axes.size() == 3) return cube_areas(spacing_mm);
  if (axes.size() == 2) return square_lengths(spacing_mm, axes[0], axes[1]);
  std::array<double, 256> ends{};
  if (axes.size() == 1) ends[0b1] = ends[size_t(1) << (1 << axes[0])] = 1;
  return ends;
}

std::vector<Surfels> find_surfels(const Volume<int32_t>& image, std::span<const int32_t> labels,
                                  int64_t k_begin, int64_t k_end) {
  const Index3& n = image.geometry.size;
  const std::array<bool, 3> used{n[0] > 1, n[1] > 1, n[2] > 1};
  const std::array<double, 256> area = surfel_areas(image.geometry.spacing_mm(), used);
  std::vector<Surfels> found(labels.size());
  LabelSlots slots(labels);
  const std::vector<int32_t> outside(size_t(n[0]), 0);
  const auto row = [&](int64_t j, int64_t k) {
    const bool inside = j >= 0 && j < n[1] && k >= 0 && k < n[2];
    return inside ? &image.voxels[size_t(n[0] * (j + n[1] * k))] : outside.data();
  };
  // An axis with one voxel has no cubes along it: the row before is passed over by taking only the upper
  // corners.
  const int64_t last_i = used[0] ? n[0] : 0, last_j = used[1] ? n[1] : 0;
  for (int64_t k = k_begin; k < k_end; ++k)
    for (int64_t j = 0; j <= last_j; ++j) {
      const int64_t before_j = used[1] ? j - 1 : j, before_k = used[2] ? k - 1 : k;
      const int32_t* rows[4] = {row(before_j, before_k), row(j, before_k), row(before_j, k), row(j, k)};
      std::array<int32_t, 4> before{}, here{};  // corners at i - 1 and i
      if (!used[0])
        for (int r = 0; r < 4; ++r) before[size_t(r)] = rows[r][0];
      for (int64_t i = 0; i <= last_i; ++i, before = here) {
        const bool inside = i < n[0];
        for (int r = 0; r < 4; ++r) here[size_t(r)] = inside ? rows[r][i] : 0;
        const int32_t first = here[0];
        if (before == here && here[1] == first && here[2] == first && here[3] == first) continue;
        const std::array<int32_t, 8> corner{before[0], here[0], before[1], here[1],
                                            before[2], here[2], before[3], here[3]};
        for (int c = 0; c < 8; ++c) {
          const int32_t label = corner[size_t(c)];
          if (label == 0 || std::find(corner.begin(), corner.begin() + c, label) != corner.begin() + c)
            continue;
          const int64_t slot = slots.slot(label);
          if (slot < 0) continue;
          unsigned code = 0;
          for (int other = c; other < 8; ++other) code |= unsigned(corner[size_t(other)] == label) << other;
          for (int axis = 0; axis < 3; ++axis)  // an axis with one voxel: both corners are the same voxel
            if (!used[axis]) code &= axis == 0 ? 0x55U : axis == 1 ? 0x33U : 0x0FU;
          if (area[code] == 0) continue;
          found[size_t(slot)].cubes.push_back({int32_t(i), int32_t(j), int32_t(k)});
          found[size_t(slot)].areas.push_back(area[code]);
        }
      }
    }
  return found;
}

}  // namespace mambaseg
