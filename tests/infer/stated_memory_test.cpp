#include <gtest/gtest.h>
#include <malloc.h>

#include "mambaseg/core/memory.h"
#include "mambaseg/infer/predictor.h"

namespace mambaseg {
namespace {

constexpr int64_t kClasses = 24, kPatch = 64;

/// Scores of all classes in one tensor, as networks leave them, and nothing besides.
class Repeats : public Network {
 public:
  Extent size_multiples() const override { return {1, 1, 1}; }

 protected:
  std::vector<torch::Tensor> scores(const torch::Tensor& x) override {
    const auto out = torch::empty({x.size(0), kClasses, x.size(2), x.size(3), x.size(4)},
                                  x.options().memory_format(torch::MemoryFormat::ChannelsLast3d));
    return {out.copy_(x.expand_as(out))};
  }
};

Predictor predictor(size_t models, double network_mm) {
  Plan plan;
  plan.conform = "spacing";
  plan.spacing = {network_mm, network_mm, network_mm};
  plan.orientation = "RAS";
  plan.window = "gaussian";
  plan.crop_to_brain = false;
  plan.patch = {kPatch, kPatch, kPatch};
  Model model;
  model.network = std::make_shared<Repeats>();
  model.info.network = {{"in_channels", 1}, {"classes", kClasses}};
  return Predictor(std::vector<Model>(models, model), plan, {});
}

/// Megabytes that the process took for the labels of an image of `size` voxels of 1 mm, and that were stated.
struct Megabytes {
  double taken, stated;
};
Megabytes megabytes(const Predictor& predictor, const Index3& size) {
  malloc_trim(0);
  forget_peak_memory();
  const auto before = peak_memory_bytes();
  Image image;
  image.geometry.size = size;
  std::vector<uint8_t> voxels(static_cast<size_t>(image.geometry.voxel_count()), 3);
  voxels.front() = 4;
  image.voxels = std::move(voxels);
  PreparedImage prepared = prepare_image(image, predictor.plan());
  image = {};
  malloc_trim(0);
  forget_peak_memory();
  const Work work = predictor.plan_work(prepared);
  predictor.labels(std::move(prepared), work);
  return {static_cast<double>(peak_memory_bytes() - before) * 1e-6,
          static_cast<double>(work.peak_bytes) * 1e-6};
}

TEST(StatedMemory, IsWhatTheProcessTakesWithinATenth) {
  mallopt(M_MMAP_THRESHOLD, 1 << 17);  // what is freed goes back at once, however large the blocks before
  const Index3 long_first{160, 96, 80}, long_last{80, 96, 160};
  megabytes(predictor(1, 1), {kPatch, kPatch, kPatch});  // what is loaded at the first use
  for (const size_t models : {1, 2})
    for (const double network_mm : {1.0, 1.25})
      for (const Index3& size : {long_first, long_last}) {
        const auto [taken, stated] = megabytes(predictor(models, network_mm), size);
        EXPECT_NEAR(taken, stated, 0.1 * stated) << models << " models, " << network_mm << " mm, " << size[0];
      }
}

TEST(StatedMemory, SlabsLieAlongTheAxisWhereTheyTakeLeast) {
  EXPECT_EQ(smallest_slab_axis({512, 512, 300}, {128, 128, 128}), 0);
  EXPECT_EQ(smallest_slab_axis({512, 512, 600}, {128, 128, 128}), 2);
  EXPECT_EQ(smallest_slab_axis({512, 400, 90}, {96, 128, 96}), 0);
  EXPECT_EQ(smallest_slab_axis({64, 64, 64}, {128, 128, 128}), 2);
}

}  // namespace
}  // namespace mambaseg
