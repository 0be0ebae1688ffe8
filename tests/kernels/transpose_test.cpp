#include "mambaseg/kernels/transpose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace mambaseg {
namespace {

TEST(Transpose, MovesEveryNumberAndTouchesNothingElse) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t rows : {1, 3, 4, 16, 67, 130})
      for (const int64_t columns : {1, 2, 4, 16, 35, 64}) {
        const int64_t from_stride = columns + 5, to_stride = rows + 3;
        std::vector<float> from(static_cast<size_t>(rows * from_stride)),
            to(static_cast<size_t>(columns * to_stride), -1.0f);
        std::iota(from.begin(), from.end(), 0.0f);
        std::vector<float> expected = to;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < columns; ++c)
            expected[static_cast<size_t>(c * to_stride + r)] = from[static_cast<size_t>(r * from_stride + c)];
        transpose_matrix(from.data(), from_stride, rows, columns, to.data(), to_stride, target);
        EXPECT_EQ(to, expected) << target.name << " " << rows << " " << columns;
      }
}

}  // namespace
}  // namespace mambaseg
