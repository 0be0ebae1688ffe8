#include "mambaseg/infer/score_resampler.h"

#include <gtest/gtest.h>

#include <torch/nn/functional.h>
#include <torch/nn/functional/upsampling.h>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

/// The slices handed out for scores of a whole box that come `slab` slices at a time, (K, X, Y, Z).
torch::Tensor resampled(const torch::Tensor& scores, const Index3& from, const Box& box, const Index3& to,
                        int64_t slab, std::optional<int> separate = {}) {
  std::vector<torch::Tensor> slices;
  ScoreResampler resampler(scores.size(0), from, box, to, separate, [&](const torch::Tensor& p, int64_t z) {
    EXPECT_EQ(z, static_cast<int64_t>(slices.size()));
    slices.push_back(p.clone());
  });
  for (int64_t z = 0; z < scores.size(3); z += slab)
    resampler.take(scores.narrow(3, z, std::min(slab, scores.size(3) - z)), z);
  resampler.finish();
  return torch::stack(slices, 3);
}

TEST(ScoreResampler, EqualsInterpolationOfTheWholeVolumeForAnySlab) {
  torch::manual_seed(1);
  const Index3 from{5, 6, 7};
  const auto p = torch::softmax(torch::randn({3, 5, 6, 7}), 0);
  for (const Index3& to : {Index3{5, 6, 7}, Index3{9, 11, 16}, Index3{3, 4, 2}, Index3{5, 12, 3}}) {
    const auto expected = torch::nn::functional::interpolate(
        p.unsqueeze(0), torch::nn::functional::InterpolateFuncOptions()
                            .size(std::vector<int64_t>{to[0], to[1], to[2]})
                            .mode(torch::kTrilinear)
                            .align_corners(false))[0];
    for (const int64_t slab : {1, 3, 7}) {
      // Each voxel's scores may have a factor of their own: weights of patches differ from place to place.
      const auto scores = p * (0.1 + torch::rand({1, 5, 6, 7}));
      const auto found = resampled(scores, from, whole_box(from), to, slab);
      EXPECT_LT((found - expected).abs().max().item<float>(), 2e-6) << to[0] << " " << slab;
    }
  }
}

TEST(ScoreResampler, OutsideTheBoxIsBackground) {
  const Index3 from{6, 6, 6};
  const Box box{{2, -1, 3}, {3, 8, 2}};  // reaches beyond the grid along the second axis
  const auto scores = torch::stack({torch::zeros({3, 8, 2}), torch::ones({3, 8, 2})});
  const auto found = resampled(scores, from, box, {12, 12, 12}, 1);
  const auto inside = torch::zeros({12, 12, 12});
  inside.narrow(0, 4, 6).narrow(2, 6, 4).fill_(1);
  EXPECT_TRUE(found[1].equal(inside));
  EXPECT_TRUE((found[0] + found[1]).equal(torch::ones({12, 12, 12})));
}

TEST(ScoreResampler, TakesTheNearestSliceAlongASeparateAxis) {
  const auto scores = torch::zeros({2, 2, 2, 2});
  scores.select(3, 0)[0].fill_(1);
  scores.select(3, 1)[1].fill_(1);
  const auto found = resampled(scores, {2, 2, 2}, whole_box({2, 2, 2}), {2, 2, 6}, 1, 2);
  EXPECT_TRUE(found[1][0][0].equal(torch::tensor({0., 0., 0., 1., 1., 1.}, torch::kFloat32)));
}

TEST(ScoreResampler, WinnersAreThoseOfTheProbabilitiesAlongAnyAxis) {
  torch::manual_seed(2);
  const Index3 from{20, 19, 18};
  const Box box{{2, -1, 1}, {17, 20, 16}};  // a part of the grid, and beyond it
  const auto scores = torch::rand({5, 17, 20, 16}) * (0.1 + torch::rand({1, 17, 20, 16}));
  for (const auto type : {torch::kFloat32, torch::kFloat16})
    for (const Index3& to : {Index3{20, 19, 18}, Index3{31, 25, 40}, Index3{70, 19, 9}, Index3{7, 19, 18}})
      for (const auto total : {ScoreResampler::Total::sum, ScoreResampler::Total::first}) {
        const auto stored = scores.to(type);
        std::vector<torch::Tensor> expected;
        ScoreResampler with_slices(
            5, from, box, to, {},
            [&](const torch::Tensor& p, int64_t) {
              auto winner = p.argmax(0);
              if (total == ScoreResampler::Total::first) {
                winner.zero_();
                for (int64_t k = 1; k < 5; ++k) winner.masked_fill_(p[k] > 0.5 * p[0], k);
              }
              expected.push_back(winner.to(torch::kUInt8));
            },
            total);
        with_slices.take(stored, 0);
        with_slices.finish();
        for (int axis = 0; axis < 3; ++axis)
          for (const int64_t slab : {1, 7, 20}) {
            auto winners = torch::zeros({to[2], to[1], to[0]}, torch::kUInt8);
            ScoreResampler resampler(5, from, box, to, {}, {}, total, winners.data_ptr<uint8_t>(), axis);
            const int64_t slices = stored.size(axis + 1);
            for (int64_t at = 0; at < slices; at += slab)
              resampler.take(stored.narrow(axis + 1, at, std::min(slab, slices - at)), at);
            resampler.finish();
            EXPECT_TRUE(winners.permute({2, 1, 0}).equal(torch::stack(expected, 2)))
                << type << " " << to[0] << " axis " << axis << " slab " << slab;
          }
      }
}

TEST(ScoreResampler, RefusesAMissingSlab) {
  ScoreResampler resampler(2, {2, 2, 6}, whole_box({2, 2, 6}), {2, 2, 12}, {},
                           [](const torch::Tensor&, int64_t) {});
  EXPECT_THROW(resampler.take(torch::ones({2, 2, 2, 2}), 3), Error);
}

}  // namespace
}  // namespace mambaseg
