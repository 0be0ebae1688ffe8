#include "mambaseg/tasks/volumes/side_by_side.h"

#include <gtest/gtest.h>

#include "mambaseg/data/plan.h"

namespace mambaseg {
namespace {

/// Class 1 where the image is bright: each voxel is judged alone, so patches must fit together without a
/// seam.
struct Threshold : Network {
  Extent size_multiples() const override { return {1, 1, 1}; }
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    return {torch::cat({torch::full_like(x, 0.5), x}, 1)};
  }
};

TEST(SideBySide, PatchesCoverTheWholeCase) {
  PreparedCase one;
  one.image_CIJK = torch::randint(0, 256, {1, 11, 8, 5}, torch::kUInt8);
  one.scale = 1.0f / 255;
  one.classes_IJK = torch::zeros({11, 8, 5}, torch::kUInt8);
  Threshold network;
  const auto expected = (one.image_CIJK[0] >= 128).to(torch::kUInt8);
  EXPECT_TRUE(torch::equal(predict_side_by_side(network, one, {4, 4, 4}, torch::kCPU, LabelScheme(Plan{})),
                           expected));
  EXPECT_TRUE(torch::equal(predict_side_by_side(network, one, {16, 8, 5}, torch::kCPU, LabelScheme(Plan{})),
                           expected));
}

}  // namespace
}  // namespace mambaseg
