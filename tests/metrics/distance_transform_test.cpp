#include "mambaseg/metrics/distance_transform.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "mambaseg/core/random.h"

namespace mambaseg {
namespace {

double brute_force(const GridPoint& query, const std::vector<GridPoint>& targets, const Vector3& s) {
  double best = std::numeric_limits<double>::infinity();
  for (const GridPoint& t : targets)
    best = std::min(best, std::hypot(s[0] * (query.i - t.i), s[1] * (query.j - t.j), s[2] * (query.k - t.k)));
  return best;
}

std::vector<GridPoint> random_points(const Index3& size, double density, uint64_t seed) {
  Random random(seed);
  std::vector<GridPoint> points;
  for (int32_t k = 0; k < size[2]; ++k)
    for (int32_t j = 0; j < size[1]; ++j)
      for (int32_t i = 0; i < size[0]; ++i)
        if (random.coin(density)) points.push_back({i, j, k});
  return points;
}

TEST(NearestDistances, EqualBruteForceOnAnyGrid) {
  const Vector3 spacings[] = {{1, 1, 1}, {0.9, 1.3, 3.0}, {5, 0.4, 0.7}};
  const Index3 sizes[] = {{1, 1, 1},  {17, 1, 1},  {1, 13, 1}, {1, 1, 11},
                          {9, 14, 1}, {12, 7, 10}, {3, 21, 16}};
  uint64_t seed = 0;
  for (const Index3& size : sizes)
    for (const Vector3& spacing : spacings)
      for (const double density : {0.004, 0.05, 0.6}) {
        const auto queries = random_points(size, 0.5, ++seed);
        const auto targets = random_points(size, density, ++seed);
        const auto distances = nearest_distances(queries, targets, spacing);
        ASSERT_EQ(distances.size(), queries.size());
        for (size_t q = 0; q < queries.size(); ++q) {
          const double expected = brute_force(queries[q], targets, spacing);
          if (std::isinf(expected)) {
            ASSERT_TRUE(std::isinf(distances[q]));
          } else {
            ASSERT_NEAR(distances[q], expected, 1e-12) << size[0] << "x" << size[1] << "x" << size[2];
          }
        }
      }
}

TEST(NearestDistances, OfNothing) {
  const std::vector<GridPoint> none, one{{3, 4, 5}};
  EXPECT_TRUE(nearest_distances(none, one, {1, 1, 1}).empty());
  EXPECT_TRUE(std::isinf(nearest_distances(one, none, {1, 1, 1}).at(0)));
  EXPECT_EQ(nearest_distances(one, one, {1, 1, 1}).at(0), 0);
}

TEST(SquaredDistanceField, EqualsBruteForce) {
  const Index3 size{11, 8, 6};
  const Vector3 spacing{1.5, 0.5, 2};
  const auto targets = random_points(size, 0.02, 7);
  std::vector<uint8_t> inside(size_t(size[0] * size[1] * size[2]), 0);
  for (const GridPoint& t : targets) inside[size_t(t.i + size[0] * (t.j + size[1] * t.k))] = 1;
  const auto field = squared_distance_field(inside, size, spacing);
  for (int32_t k = 0; k < size[2]; ++k)
    for (int32_t j = 0; j < size[1]; ++j)
      for (int32_t i = 0; i < size[0]; ++i)
        ASSERT_NEAR(std::sqrt(field[size_t(i + size[0] * (j + size[1] * k))]),
                    brute_force({i, j, k}, targets, spacing), 1e-12);
}

}  // namespace
}  // namespace mambaseg
