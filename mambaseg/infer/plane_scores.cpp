#include "mambaseg/infer/plane_scores.h"

#include <algorithm>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

/// Rows, columns and slices that patches cover, those behind the volume included.
Index3 covered_size(const Index3& size, const PlaneAxes& axes, const SlidingWindow& window) {
  const Box slice{{0, 0, 0}, {size[axes.row], size[axes.column], 1}};
  Index3 out = widened_for_patches(slice, window.patch, window.spread > 0 ? 1 : window.step).size;
  out[2] = size[axes.slice];
  return out;
}

}  // namespace

PlaneScores::PlaneScores(int64_t maps, const Index3& size, torch::Device device, torch::ScalarType type)
    // Classes innermost in memory, as the networks give them.
    : sums_KIJK_(
          torch::zeros({size[0], size[1], size[2], maps}, torch::TensorOptions().device(device).dtype(type))
              .permute({3, 0, 1, 2})) {}

void PlaneScores::add(const torch::Tensor& scores_KYXS, int64_t first, const PlaneAxes& axes, double weight,
                      const std::vector<int64_t>& merged) {
  const torch::Tensor to = slices_of(sums_KIJK_, axes).narrow(3, first, scores_KYXS.size(3));
  require(scores_KYXS.size(1) >= to.size(1) && scores_KYXS.size(2) >= to.size(2),
          "planes: expected scores of at least ", to.size(1), "x", to.size(2), " pixels, got ",
          scores_KYXS.size(1), "x", scores_KYXS.size(2));
  torch::Tensor scores = scores_KYXS.narrow(1, 0, to.size(1)).narrow(2, 0, to.size(2));
  if (!merged.empty()) scores = scores.index_select(0, torch::tensor(merged, scores.device()));
  require(scores.size(0) == to.size(0), "planes: expected scores of ", to.size(0), " classes, got ",
          scores.size(0));
  to.add_(scores.to(to.device()), weight);
}

int64_t PlaneScores::bytes(int64_t maps, const Index3& size, torch::ScalarType type) {
  return maps * size[0] * size[1] * size[2] * static_cast<int64_t>(torch::elementSize(type));
}

void score_slices(const torch::Tensor& volume_CIJK, const PlaneAxes& axes, const SlidingWindow& given,
                  const Probabilities& network, const SliceScores& take, const Progress& progress) {
  const Index3 size{volume_CIJK.size(1), volume_CIJK.size(2), volume_CIJK.size(3)};
  const Index3 covered = covered_size(size, axes, given);
  SlidingWindow window = given;
  window.classes = given.classes + 1;  // the last sums the weights of the patches
  window.votes = torch::kFloat32;
  const auto slices =
      repeated_slices(slices_of(volume_CIJK, axes), -window.context, covered[2] + 2 * window.context);
  const auto scores_and_one = [&](const torch::Tensor& x_BCYXS) {
    const torch::Tensor scores = network(slices_as_channels(x_BCYXS)).to(torch::kFloat32);
    require(scores.dim() == 4, "prediction: expected scores of slices, the network gave sizes ",
            scores.sizes());
    auto one_sizes = scores.sizes().vec();
    one_sizes[1] = 1;
    return torch::cat({scores, torch::ones(one_sizes, scores.options())}, 1).unsqueeze(4);
  };
  vote(
      cut_box(slices, {{0, 0, 0}, {covered[0], covered[1], slices.size(3)}}), window, scores_and_one,
      [&](const torch::Tensor& sums_KYXS, int64_t first) {
        take(sums_KYXS.narrow(0, 0, given.classes) / sums_KYXS.narrow(0, given.classes, 1), first);
      },
      progress);
}

int64_t slice_patch_count(const Index3& size, const PlaneAxes& axes, const SlidingWindow& window) {
  return static_cast<int64_t>(window_starts(covered_size(size, axes, window), window).size());
}

int64_t slice_bytes(const Index3& size, int64_t channels, const PlaneAxes& axes,
                    const SlidingWindow& window) {
  constexpr int64_t kFloat = 4, kCopies = 2;
  const Index3 covered = covered_size(size, axes, window);
  const int64_t pixels = covered[0] * covered[1], patch = window.patch[0] * window.patch[1];
  const int64_t depth = 1 + 2 * window.context;
  const int64_t volume = kCopies * channels * pixels * (covered[2] + depth);
  const int64_t patches = window.batch * patch * kCopies * (channels * depth + window.classes + 1);
  const int64_t sums = 2 * pixels * (window.classes + 1);
  return kFloat * (volume + patches + sums);
}

}  // namespace mambaseg
