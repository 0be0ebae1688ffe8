#include "mambaseg/infer/sliding_window.h"

#include <algorithm>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

int64_t voxels(const Index3& size) { return size[0] * size[1] * size[2]; }

}  // namespace

void vote(const torch::Tensor& volume_ijk, const SlidingWindow& window, const Probabilities& probabilities,
          const SlabVotes::Release& release, const Progress& progress) {
  const torch::NoGradGuard no_grad;
  const Index3 size{volume_ijk.size(0), volume_ijk.size(1), volume_ijk.size(2)};
  const auto starts = patch_starts(size, window.patch, window.step);
  const int64_t count = static_cast<int64_t>(starts.size());
  SlabVotes votes(window.classes, size, window.patch[2], window.device, release);
  for (int64_t first = 0; first < count; first += window.batch) {
    const int64_t last = std::min(count, first + window.batch);
    std::vector<torch::Tensor> patches;
    for (int64_t p = first; p < last; ++p) {
      torch::Tensor patch = volume_ijk;
      for (int axis = 0; axis < 3; ++axis) patch = patch.narrow(axis, starts[p][axis], window.patch[axis]);
      patches.push_back(patch.unsqueeze(0));
    }
    const torch::Tensor result = probabilities(torch::stack(patches).to(window.device));
    require(result.dim() == 5 && result.size(0) == last - first && result.size(1) == window.classes &&
                result.size(2) == window.patch[0] && result.size(3) == window.patch[1] &&
                result.size(4) == window.patch[2],
            "prediction: expected ", window.classes,
            " class scores for each voxel of the patch, the network gave sizes ", result.sizes());
    for (int64_t p = first; p < last; ++p) votes.add(result[p - first], starts[p]);
    if (progress) progress("patches", last, count);
  }
  votes.finish();
}

torch::Tensor classes_in_box(const torch::Tensor& image_ijk, const Box& box, const SlidingWindow& window,
                             const Probabilities& probabilities, const Progress& progress) {
  for (int axis = 0; axis < 3; ++axis)
    require(window.step <= window.patch[axis] && box.size[axis] >= window.patch[axis] &&
                (box.size[axis] - window.patch[axis]) % window.step == 0,
            "prediction: patches of ", window.patch[axis], " at every ", window.step, " voxels do not cover ",
            box.size[axis], " voxels");
  auto out = torch::empty({box.size[0], box.size[1], box.size[2]}, torch::kInt32);
  const auto take_largest = [&](const torch::Tensor& votes_KXYZ, int64_t first) {
    out.narrow(2, first, votes_KXYZ.size(3)).copy_(votes_KXYZ.argmax(0));
  };
  vote(cut_box(image_ijk, box), window, probabilities, take_largest, progress);
  return out;
}

int64_t patch_count(const Box& box, const SlidingWindow& window) {
  return static_cast<int64_t>(patch_starts(box.size, window.patch, window.step).size());
}

int64_t peak_bytes(const Box& box, const SlidingWindow& window) {
  constexpr int64_t kFloat = 4, kLong = 8;
  const int64_t batch = std::min(window.batch, patch_count(box, window));
  const int64_t slices = std::min(window.patch[2], box.size[2]);
  const int64_t image_and_classes = 2 * kFloat * voxels(box.size);
  const int64_t patches =
      batch * voxels(window.patch) * kFloat * (2 + 2 * window.classes);  // x twice, scores twice
  const int64_t largest = box.size[0] * box.size[1] * slices * kLong;
  return SlabVotes::bytes(window.classes, box.size, window.patch[2]) + image_and_classes +
         std::max(patches, largest);
}

}  // namespace mambaseg
