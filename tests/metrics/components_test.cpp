#include "mambaseg/metrics/components.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "tests/metrics/blobs.h"

namespace mambaseg {
namespace {

/// Component of each voxel by flooding, numbered in memory order; -1 for background.
std::vector<int64_t> flooded(const Volume<int32_t>& image, Connectivity connectivity) {
  const Index3& n = image.geometry.size;
  std::vector<int64_t> component(image.voxels.size(), -1);
  int64_t count = 0;
  for (size_t start = 0; start < component.size(); ++start) {
    if (image.voxels[start] == 0 || component[start] >= 0) continue;
    std::vector<size_t> open{start};
    component[start] = count;
    while (!open.empty()) {
      const auto at = int64_t(open.back());
      open.pop_back();
      const int64_t i = at % n[0], j = at / n[0] % n[1], k = at / n[0] / n[1];
      for (int64_t dk = -1; dk <= 1; ++dk)
        for (int64_t dj = -1; dj <= 1; ++dj)
          for (int64_t di = -1; di <= 1; ++di) {
            if (std::abs(di) + std::abs(dj) + std::abs(dk) > int(connectivity)) continue;
            if (i + di < 0 || j + dj < 0 || k + dk < 0 || i + di >= n[0] || j + dj >= n[1] || k + dk >= n[2])
              continue;
            const auto next = size_t(image.offset(i + di, j + dj, k + dk));
            if (component[next] >= 0 || image.voxels[next] != image.voxels[start]) continue;
            component[next] = count;
            open.push_back(next);
          }
    }
    ++count;
  }
  return component;
}

TEST(ConnectedComponents, EqualFloodingOnNoise) {
  uint64_t seed = 0;
  for (const Index3& size :
       {Index3{9, 8, 7}, Index3{17, 13, 1}, Index3{1, 12, 9}, Index3{31, 1, 1}, Index3{1, 1, 1}})
    for (const double density : {0.1, 0.3, 0.6})
      for (const auto connectivity : {Connectivity::faces, Connectivity::edges, Connectivity::corners}) {
        Volume<int32_t> image(grid(size));
        Random random(++seed);
        for (auto& v : image.voxels) v = random.coin(density) ? int32_t(1 + random.below(2)) : 0;
        const auto expected = flooded(image, connectivity);
        const Components found = connected_components(image, connectivity);
        std::vector<int64_t> component(image.voxels.size(), -1);
        for (int64_t row = 0; row < size[1] * size[2]; ++row)
          for (int64_t r = found.row_begin[size_t(row)]; r < found.row_begin[size_t(row) + 1]; ++r) {
            const auto& run = found.runs[size_t(r)];
            for (int64_t i = run.i_begin; i < run.i_end; ++i) {
              component[size_t(row * size[0] + i)] = run.component;
              EXPECT_EQ(image.voxels[size_t(row * size[0] + i)], found.labels[size_t(run.component)]);
            }
          }
        ASSERT_EQ(component, expected);
        std::map<int64_t, int64_t> voxels;
        for (const int64_t c : expected) ++voxels[c];
        for (size_t c = 0; c < found.voxels.size(); ++c) EXPECT_EQ(found.voxels[c], voxels[int64_t(c)]);
      }
}

TEST(CountLesions, ATouchFindsALesionAndOneBlobMayFindTwo) {
  Volume<int32_t> reference(grid({20, 5, 1})), prediction(grid({20, 5, 1}));
  for (const int i : {1, 2, 5, 6, 10, 15}) reference.at(i, 2, 0) = 1;  // lesions 1-2, 5-6, 10, 15
  for (const int i : {2, 3, 4, 5, 12, 18})
    prediction.at(i, 2, 0) = 1;  // blob 2-5 meets two; 12 and 18 are false
  prediction.at(10, 2, 0) = 2;   // another label finds nothing
  const std::vector<int32_t> labels{1, 2, 3};
  const auto counts = count_lesions(connected_components(reference, Connectivity::corners),
                                    connected_components(prediction, Connectivity::corners), labels);
  EXPECT_EQ(counts[0], (LesionCounts{4, 2, 3, 1}));
  EXPECT_EQ(counts[1], (LesionCounts{0, 0, 1, 0}));
  EXPECT_EQ(counts[2], (LesionCounts{}));
}

}  // namespace
}  // namespace mambaseg
