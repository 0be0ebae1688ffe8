#include "mambaseg/infer/sliding_window.h"

#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/infer/importance.h"

namespace mambaseg {
namespace {

/// Scores that depend on the voxel and on its place in the patch, so that sums differ from patch to patch.
torch::Tensor scores(const torch::Tensor& x, int64_t classes) {
  std::vector<torch::Tensor> out;
  for (int64_t k = 0; k < classes; ++k)
    out.push_back(torch::sin(x * double(3 + k)) +
                  torch::linspace(0, double(k), x.size(2)).reshape({-1, 1, 1}));
  return torch::softmax(torch::cat(out, 1), 1);
}

SlidingWindow window_of(const Index3& patch, int64_t step, int64_t batch = 1) {
  SlidingWindow out;
  out.patch = patch;
  out.step = step;
  out.batch = batch;
  out.classes = 3;
  return out;
}

/// Votes of the whole volume held at once.
torch::Tensor full_votes(const torch::Tensor& image, const SlidingWindow& w) {
  auto out = torch::zeros({w.classes, image.size(0), image.size(1), image.size(2)});
  for (const Index3& s : patch_starts({image.size(0), image.size(1), image.size(2)}, w.patch, w.step)) {
    const auto at = [&](const torch::Tensor& t, int first) {
      return t.narrow(first, s[0], w.patch[0])
          .narrow(first + 1, s[1], w.patch[1])
          .narrow(first + 2, s[2], w.patch[2]);
    };
    at(out, 1).add_(scores(at(image, 0).unsqueeze(0).unsqueeze(0), w.classes)[0]);
  }
  return out;
}

TEST(SlabVotes, EqualFullVotesBitForBitAtAnyStepAndBatch) {
  torch::manual_seed(5);
  for (const auto& [patch, step, batch, size] :
       {std::tuple{Index3{6, 5, 4}, int64_t{3}, int64_t{1}, Index3{9, 8, 13}},
        std::tuple{Index3{4, 4, 4}, int64_t{1}, int64_t{3}, Index3{6, 7, 9}},
        std::tuple{Index3{4, 4, 4}, int64_t{4}, int64_t{64}, Index3{8, 4, 12}},
        std::tuple{Index3{8, 8, 8}, int64_t{5}, int64_t{2}, Index3{9, 8, 8}},
        std::tuple{Index3{8, 8, 8}, int64_t{5}, int64_t{2}, Index3{3, 8, 8}}}) {
    const auto image = torch::rand({size[0], size[1], size[2]});
    const SlidingWindow w = window_of(patch, step, batch);
    auto votes = torch::full({w.classes, size[0], size[1], size[2]}, -1.0F);
    int64_t next = 0;
    vote(
        image, w, [](const torch::Tensor& x) { return scores(x, 3); },
        [&](const torch::Tensor& part, int64_t first) {
          EXPECT_EQ(first, next);
          next += part.size(3);
          votes.narrow(3, first, part.size(3)).copy_(part);
        });
    EXPECT_EQ(next, size[2]);
    EXPECT_TRUE(votes.equal(full_votes(image, w))) << step << " " << batch;
  }
}

TEST(SlabVotes, AlongAnyAxisAreTheSumsInTheOrderOfThePatches) {
  torch::manual_seed(6);
  const Index3 size{9, 14, 11};
  const auto image = torch::rand({size[0], size[1], size[2]});
  for (int axis = 0; axis < 3; ++axis)
    for (const auto type : {torch::kFloat32, torch::kFloat16})
      for (const bool softmax : {false, true}) {
        SlidingWindow w = window_of({6, 5, 4}, 3, 2);
        w.spread = 0.5;
        w.slab_axis = axis;
        w.votes = type;
        w.softmax = softmax;
        const auto network = [&](const torch::Tensor& x) {
          return softmax ? torch::log(scores(x, 3)) + 5 : scores(x, 3);
        };
        auto votes = torch::full({3, size[0], size[1], size[2]}, -1.0F);
        int64_t next = 0;
        vote(image, w, network, [&](const torch::Tensor& part, int64_t first) {
          EXPECT_EQ(first, next);
          next += part.size(axis + 1);
          EXPECT_LE(part.size(axis + 1), w.patch[axis]);
          votes.narrow(axis + 1, first, part.size(axis + 1)).copy_(part);
        });
        EXPECT_EQ(next, size[axis]);
        auto expected = torch::zeros_like(votes, torch::kFloat64), roundings = torch::zeros_like(expected);
        const bool half = type == torch::kFloat16;
        const auto weight = gaussian_importance({6, 5, 4}, 0.125, half ? 1000 : 10);
        for (const Index3& s : window_starts(size, w)) {
          const auto at = [&](const torch::Tensor& t, int first) {
            return t.narrow(first, s[0], 6).narrow(first + 1, s[1], 5).narrow(first + 2, s[2], 4);
          };
          at(expected, 1).add_(scores(at(image, 0).unsqueeze(0).unsqueeze(0), 3)[0] * weight);
          // Of each sum so far: half a step of its type.
          at(roundings, 1)
              .add_(half ? (at(expected, 1) * 0x1p-11).clamp_min(0x1p-25) : at(expected, 1) * 0x1p-24);
        }
        EXPECT_TRUE(((votes - expected).abs() <= 2e-6 * expected + 1.01 * roundings).all().item<bool>())
            << axis << " " << type << " " << softmax;
      }
}

TEST(SlabVotes, HoldsNoMoreThanStated) {
  EXPECT_EQ(SlabVotes::bytes(32, {160, 192, 224}, 96), int64_t{32} * 160 * 192 * 96 * 4);
  EXPECT_EQ(SlabVotes::bytes(2, {5, 6, 7}, 96), 2 * 5 * 6 * 7 * 4);
  int64_t largest = 0;
  SlabVotes votes(2, {5, 5, 50}, 5, torch::kCPU, [&](const torch::Tensor& part, int64_t) {
    largest = std::max<int64_t>(largest, part.storage().nbytes());
  });
  for (int64_t z = 0; z <= 45; z += 3) votes.add(torch::ones({2, 5, 5, 5}), {0, 0, z});
  votes.finish();
  EXPECT_EQ(largest, SlabVotes::bytes(2, {5, 5, 50}, 5));
}

TEST(SlabVotes, RefusesPatchesOutOfOrderOrOutside) {
  SlabVotes votes(1, {4, 4, 9}, 4, torch::kCPU, [](const torch::Tensor&, int64_t) {});
  votes.add(torch::ones({1, 4, 4, 4}), {0, 0, 2});
  EXPECT_THROW(votes.add(torch::ones({1, 4, 4, 4}), {0, 0, 1}), Error);
  EXPECT_THROW(votes.add(torch::ones({1, 4, 4, 4}), {0, 0, 6}), Error);
  EXPECT_THROW(votes.add(torch::ones({1, 4, 4, 4}), {1, 0, 3}), Error);
}

/// The class with most votes of every voxel of a box.
torch::Tensor classes_in_box(const torch::Tensor& image, const Box& box, const SlidingWindow& window,
                             const Probabilities& probabilities, const Progress& progress = {}) {
  check_covered(box.size, window);
  return decided(
      box.size, [](const torch::Tensor& votes_K) { return votes_K.argmax(0); },
      [&](const SlabVotes::Release& release) {
        vote(cut_box(image, box), window, probabilities, release, progress);
      });
}

TEST(ClassesInBox, EveryVoxelGetsItsClassAlsoInPadding) {
  const auto image = torch::randint(0, 3, {7, 9, 11}).to(torch::kFloat32);
  const auto one_hot = [](const torch::Tensor& x) {
    return torch::cat({x.eq(0), x.eq(1), x.eq(2)}, 1).to(torch::kFloat32);
  };
  for (const int64_t step : {1, 2, 3, 4}) {
    const Box box = widened_for_patches(whole_box({7, 9, 11}), {4, 4, 4}, step);
    int64_t calls = 0;
    const SlidingWindow w = window_of({4, 4, 4}, step, 2);
    const auto classes =
        classes_in_box(image, box, w, one_hot, [&](const std::string&, int64_t done, int64_t total) {
          calls = done;
          EXPECT_EQ(total, patch_count(box, w));
        });
    EXPECT_EQ(calls, patch_count(box, w));
    EXPECT_TRUE(classes.equal(cut_box(image, box).to(torch::kInt32))) << step;
  }
}

TEST(ClassesInBox, RefusesBoxesThatPatchesDoNotCover) {
  const auto image = torch::zeros({10, 10, 10});
  const auto any = [](const torch::Tensor& x) { return scores(x, 3); };
  EXPECT_THROW(classes_in_box(image, {{0, 0, 0}, {10, 10, 10}}, window_of({4, 4, 4}, 4), any), Error);
  EXPECT_THROW(classes_in_box(image, {{0, 0, 0}, {3, 4, 4}}, window_of({4, 4, 4}, 4), any), Error);
  EXPECT_THROW(classes_in_box(image, {{0, 0, 0}, {9, 9, 9}}, window_of({4, 4, 4}, 5), any), Error);
  EXPECT_THROW(classes_in_box(image, {{0, 0, 0}, {4, 4, 4}}, window_of({4, 4, 4}, 4),
                              [](const torch::Tensor& x) { return scores(x, 4); }),
               Error);
}

TEST(PeakBytes, CountsVotesPatchesAndVolumes) {
  SlidingWindow w = window_of({96, 96, 96}, 32);
  w.classes = 32;
  const Box box{{0, 0, 0}, {160, 192, 224}};
  const int64_t slab = int64_t{32} * 160 * 192 * 96 * 4, volumes = int64_t{2} * 160 * 192 * 224 * 4;
  EXPECT_EQ(peak_bytes(box, w), slab + volumes + int64_t{96} * 96 * 96 * 4 * 66);
  w.batch = 4;
  EXPECT_EQ(peak_bytes(box, w), slab + volumes + int64_t{4} * 96 * 96 * 96 * 4 * 66);
  EXPECT_EQ(device_peak_bytes(box, w), 0) << "the device is the host";
}

TEST(PeakBytes, OfAGpuAreVotesAndPatchesUnlessTheHostKeepsTheVotes) {
  SlidingWindow w = window_of({96, 96, 96}, 32);
  w.classes = 32;
  w.device = torch::Device(torch::kCUDA, 1);
  const Box box{{0, 0, 0}, {160, 192, 224}};
  const int64_t patch = int64_t{96} * 96 * 96 * 4, plane = int64_t{160} * 192;
  const int64_t votes = 32 * plane * 96 * 4 + plane * 96 * 8, volumes = 2 * plane * 224 * 4;
  EXPECT_EQ(device_peak_bytes(box, w), votes + 66 * patch);
  EXPECT_EQ(peak_bytes(box, w), volumes + 2 * patch);
  w.votes_on_host = true;
  EXPECT_EQ(device_peak_bytes(box, w), 66 * patch);
  EXPECT_EQ(peak_bytes(box, w), volumes + 2 * patch + votes + 32 * patch) << "and the scores of a batch";
}

}  // namespace
}  // namespace mambaseg
