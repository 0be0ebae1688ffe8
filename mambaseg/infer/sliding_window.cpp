#include "mambaseg/infer/sliding_window.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/infer/importance.h"
#include "mambaseg/ops/device.h"

namespace mambaseg {
namespace {

int64_t voxels(const Index3& size) { return size[0] * size[1] * size[2]; }

torch::Tensor importance_of(const SlidingWindow& window) {
  // Sums in half precision need larger weights, or those at the corners of a patch fall below its range.
  constexpr double kFraction = 0.125, kPeak = 10, kHalfPeak = 1000;
  return gaussian_importance({window.patch[0], window.patch[1], window.patch[2]}, kFraction,
                             window.votes == torch::kFloat16 ? kHalfPeak : kPeak)
      .to(window.device);
}

constexpr int64_t kFloat = 4;

/// Bytes of what is held together.
struct Parts {
  int64_t votes;            ///< all that are kept
  int64_t patches, scores;  ///< of one batch
  int64_t largest;          ///< while the class of released votes is looked for on a GPU

  Parts(const Box& box, const SlidingWindow& window)
      : votes(SlabVotes::bytes(window.classes, box.size, window.patch[window.slab_axis], window.votes,
                               window.slab_axis)),
        patches(std::min(window.batch, patch_count(box, window)) * voxels(window.patch) * kFloat),
        scores(patches * window.classes),
        largest(
            SlabVotes::bytes(1, box.size, window.patch[window.slab_axis], torch::kInt64, window.slab_axis)) {}
};

}  // namespace

std::vector<Index3> window_starts(const Index3& size, const SlidingWindow& window) {
  std::array<std::vector<int64_t>, 3> along;
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t edge = window.patch[axis];
    along[axis] =
        window.spread == 0
            ? patch_positions(size[axis], edge, std::min(window.step, edge))
            : spread_positions(size[axis], edge, std::max(window.spread, 1 / static_cast<double>(edge)));
  }
  std::vector<Index3> starts = starts_of(along);
  const int slab = window.slab_axis;
  std::stable_sort(starts.begin(), starts.end(),
                   [slab](const Index3& a, const Index3& b) { return a[slab] < b[slab]; });
  return starts;
}

int smallest_slab_axis(const Index3& size, const Index3& patch) {
  const auto share = [&](int axis) {
    return static_cast<double>(std::min(patch[axis], size[axis])) / static_cast<double>(size[axis]);
  };
  int best = 2;
  for (const int axis : {0, 1})
    if (share(axis) < share(best)) best = axis;
  return best;
}

void vote(const torch::Tensor& volume, const SlidingWindow& window, const Probabilities& probabilities,
          const SlabVotes::Release& release, const Progress& progress) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor volume_CIJK = volume.dim() == 4 ? volume : volume.unsqueeze(0);
  const Index3 size{volume_CIJK.size(1), volume_CIJK.size(2), volume_CIJK.size(3) - 2 * window.context};
  const Index3 seen{window.patch[0], window.patch[1], window.patch[2] + 2 * window.context};
  const auto starts = window_starts(size, window);
  const int64_t count = static_cast<int64_t>(starts.size());
  const torch::Tensor weights = window.spread == 0 ? torch::Tensor() : importance_of(window);
  const torch::Device votes_on = window.votes_on_host ? torch::Device(torch::kCPU) : window.device;
  SlabVotes votes(window.classes, size, window.patch[window.slab_axis], votes_on, release, window.votes,
                  window.slab_axis);
  for (int64_t first = 0; first < count; first += window.batch) {
    const int64_t last = std::min(count, first + window.batch);
    std::vector<torch::Tensor> patches;
    for (int64_t p = first; p < last; ++p) {
      torch::Tensor patch = volume_CIJK;
      for (int axis = 0; axis < 3; ++axis) patch = patch.narrow(axis + 1, starts[p][axis], seen[axis]);
      patches.push_back(patch);
    }
    const torch::Tensor result =
        probabilities(sent_to(window.device, pinned_for(window.device, torch::stack(patches))));
    require(result.dim() == 5 && result.size(0) == last - first && result.size(1) == window.classes &&
                result.size(2) == window.patch[0] && result.size(3) == window.patch[1] &&
                result.size(4) == window.patch[2],
            "prediction: expected ", window.classes,
            " class scores for each voxel of the patch, the network gave sizes ", result.sizes());
    for (int64_t p = first; p < last; ++p) votes.add({result[p - first], window.softmax, weights}, starts[p]);
    if (progress) progress("patches", last, count);
  }
  votes.finish();
}

void check_covered(const Index3& size, const SlidingWindow& window) {
  for (int axis = 0; axis < 3; ++axis)
    require(size[axis] >= window.patch[axis] &&
                (window.spread > 0 ||
                 (window.step <= window.patch[axis] && (size[axis] - window.patch[axis]) % window.step == 0)),
            "prediction: patches of ", window.patch[axis], " at every ", window.step, " voxels do not cover ",
            size[axis], " voxels");
}

torch::Tensor decided(const Index3& size, const Decide& decide,
                      const std::function<void(const SlabVotes::Release& release)>& cast, int slab_axis) {
  auto out = torch::empty({size[0], size[1], size[2]}, torch::kInt32);
  cast([&](const torch::Tensor& votes_KXYZ, int64_t first) {
    const int64_t slices = votes_KXYZ.size(slab_axis + 1);
    const int64_t step = votes_KXYZ.is_cpu() ? 1 : slices;  // numbers of classes take 8 bytes at first
    for (int64_t at = 0; at < slices; at += step)
      out.narrow(slab_axis, first + at, step).copy_(decide(votes_KXYZ.narrow(slab_axis + 1, at, step)));
  });
  return out;
}

int64_t patch_count(const Box& box, const SlidingWindow& window) {
  return static_cast<int64_t>(window_starts(box.size, window).size());
}

int64_t peak_bytes(const Box& box, const SlidingWindow& window) {
  const Parts parts(box, window);
  const int64_t image_and_classes = 2 * kFloat * voxels(box.size);
  if (!window.device.is_cuda())
    return image_and_classes + parts.votes + 2 * parts.patches + window.score_copies * parts.scores;
  const int64_t votes = window.votes_on_host ? parts.votes + parts.scores + parts.largest : 0;
  return image_and_classes + 2 * parts.patches + votes;
}

int64_t device_peak_bytes(const Box& box, const SlidingWindow& window) {
  if (!window.device.is_cuda()) return 0;
  const Parts parts(box, window);
  return 2 * parts.patches + 2 * parts.scores + (window.votes_on_host ? 0 : parts.votes + parts.largest);
}

}  // namespace mambaseg
