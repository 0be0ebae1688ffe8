#include "mambaseg/infer/votes.h"

#include <algorithm>

#include "mambaseg/core/error.h"

namespace mambaseg {

SlabVotes::SlabVotes(int64_t classes, const Index3& size, int64_t depth, torch::Device device,
                     Release release, torch::ScalarType type)
    : size_(size),
      depth_(std::min(depth, size[2])),
      release_(std::move(release)),
      // Classes innermost in memory, as the networks give them.
      ring_KXYR_(
          torch::zeros({size[0], size[1], depth_, classes}, torch::TensorOptions().device(device).dtype(type))
              .permute({3, 0, 1, 2})) {}

void SlabVotes::add(const torch::Tensor& probabilities_KXYZ, const Index3& start) {
  const int64_t slices = probabilities_KXYZ.size(3);
  for (int axis = 0; axis < 3; ++axis)
    require(start[axis] >= 0 && start[axis] + probabilities_KXYZ.size(axis + 1) <= size_[axis],
            "votes: a patch reaches beyond the volume");
  require(start[2] >= first_ && slices <= depth_,
          "votes: patches must come with rising start on the last axis");
  release_until(start[2]);
  const torch::Tensor columns = ring_KXYR_.narrow(1, start[0], probabilities_KXYZ.size(1))
                                    .narrow(2, start[1], probabilities_KXYZ.size(2));
  for (int64_t done = 0; done < slices;) {
    const int64_t at = (start[2] + done) % depth_;
    const int64_t count = std::min(slices - done, depth_ - at);
    columns.narrow(3, at, count).add_(probabilities_KXYZ.narrow(3, done, count));
    done += count;
  }
}

void SlabVotes::release_until(int64_t slice) {
  while (first_ < slice) {
    const int64_t at = first_ % depth_;
    const int64_t count = std::min(slice - first_, depth_ - at);
    torch::Tensor part = ring_KXYR_.narrow(3, at, count);
    release_(part, first_);
    part.zero_();
    first_ += count;
  }
}

void SlabVotes::finish() { release_until(size_[2]); }

int64_t SlabVotes::bytes(int64_t classes, const Index3& size, int64_t depth, torch::ScalarType type) {
  return classes * size[0] * size[1] * std::min(depth, size[2]) *
         static_cast<int64_t>(torch::elementSize(type));
}

}  // namespace mambaseg
