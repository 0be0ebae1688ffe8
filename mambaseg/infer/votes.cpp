#include "mambaseg/infer/votes.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/infer/vote_layout.h"
#include "mambaseg/kernels/class_votes.h"

namespace mambaseg {
namespace {

/// Adds the votes of some slices in the processor's memory, both (K, X, Y, slices) with classes innermost and
/// behind each other the voxels of a line along the last axis.
template <class T>
void add_lines(const PatchVotes& patch, const torch::Tensor& sums_KXYZ) {
  const torch::Tensor &from = patch.numbers_KXYZ, &weight = patch.weight_XYZ;
  const int64_t classes = from.size(0);
  int64_t columns = from.size(2), rows = from.size(3);  // lines beside each other, voxels of a line
  const int64_t line = rows * classes;
  if (from.stride(2) == line && sums_KXYZ.stride(2) == line &&
      (!weight.defined() || weight.stride(1) == rows)) {
    rows *= columns;
    columns = 1;
  }
  at::parallel_for(0, from.size(1) * columns, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(classes));
    const std::vector<float> ones(static_cast<size_t>(weight.defined() ? 0 : rows), 1.0F);
    for (int64_t l = begin; l < end; ++l) {
      const int64_t x = l / columns, y = l % columns;
      const float* numbers = from.data_ptr<float>() + x * from.stride(1) + y * from.stride(2);
      const float* counts = weight.defined()
                                ? weight.data_ptr<float>() + x * weight.stride(0) + y * weight.stride(1)
                                : ones.data();
      T* sums = static_cast<T*>(sums_KXYZ.data_ptr()) + x * sums_KXYZ.stride(1) + y * sums_KXYZ.stride(2);
      if (patch.scores)
        add_softmax(numbers, rows, classes, counts, sums, scratch.data());
      else
        add_weighted(numbers, rows, classes, counts, sums);
    }
  });
}

/// The same by LibTorch, on any device.
void add_tensors(const PatchVotes& patch, const torch::Tensor& sums_KXYZ) {
  torch::Tensor votes = patch.scores ? torch::softmax(patch.numbers_KXYZ, 0) : patch.numbers_KXYZ;
  if (patch.weight_XYZ.defined())
    votes = patch.scores ? votes.mul_(patch.weight_XYZ) : votes * patch.weight_XYZ;
  sums_KXYZ.add_(votes.to(sums_KXYZ.device()));
}

}  // namespace

void add_votes(const PatchVotes& patch, const torch::Tensor& sums_KXYZ) {
  if (!patch.numbers_KXYZ.is_cpu() || !sums_KXYZ.is_cpu()) return add_tensors(patch, sums_KXYZ);
  const torch::Tensor sums = in_lines(sums_KXYZ);
  PatchVotes lines = patch;
  lines.numbers_KXYZ = in_lines(patch.numbers_KXYZ.to(torch::kFloat32));
  with_votes(sums, [&]<class T>(const T*) { add_lines<T>(lines, sums); });
  if (!sums.is_same(sums_KXYZ)) sums_KXYZ.copy_(sums);
}

SlabVotes::SlabVotes(int64_t classes, const Index3& size, int64_t depth, torch::Device device,
                     Release release, torch::ScalarType type, int axis)
    : size_(size), axis_(axis), depth_(std::min(depth, size[axis])), release_(std::move(release)) {
  Index3 held = size;
  held[axis] = depth_;
  // Classes innermost in memory, as the networks give them.
  ring_KXYZ_ =
      torch::zeros({held[0], held[1], held[2], classes}, torch::TensorOptions().device(device).dtype(type))
          .permute({3, 0, 1, 2});
}

void SlabVotes::add(const PatchVotes& patch, const Index3& start) {
  const torch::Tensor& numbers_KXYZ = patch.numbers_KXYZ;
  const int64_t slices = numbers_KXYZ.size(axis_ + 1);
  for (int axis = 0; axis < 3; ++axis)
    require(start[axis] >= 0 && start[axis] + numbers_KXYZ.size(axis + 1) <= size_[axis],
            "votes: a patch reaches beyond the volume");
  require(start[axis_] >= first_ && slices <= depth_,
          "votes: patches must come with rising start on the axis of the slices");
  release_until(start[axis_]);
  torch::Tensor reached = ring_KXYZ_;
  for (int axis = 0; axis < 3; ++axis)
    if (axis != axis_) reached = reached.narrow(axis + 1, start[axis], numbers_KXYZ.size(axis + 1));
  for (int64_t done = 0; done < slices;) {
    const int64_t at = (start[axis_] + done) % depth_;
    const int64_t count = std::min(slices - done, depth_ - at);
    PatchVotes part{numbers_KXYZ.narrow(axis_ + 1, done, count), patch.scores};
    if (patch.weight_XYZ.defined()) part.weight_XYZ = patch.weight_XYZ.narrow(axis_, done, count);
    add_votes(part, reached.narrow(axis_ + 1, at, count));
    done += count;
  }
}

void SlabVotes::release_until(int64_t slice) {
  while (first_ < slice) {
    const int64_t at = first_ % depth_;
    const int64_t count = std::min(slice - first_, depth_ - at);
    torch::Tensor part = ring_KXYZ_.narrow(axis_ + 1, at, count);
    release_(part, first_);
    part.zero_();
    first_ += count;
  }
}

void SlabVotes::finish() { release_until(size_[axis_]); }

int64_t SlabVotes::bytes(int64_t classes, const Index3& size, int64_t depth, torch::ScalarType type,
                         int axis) {
  Index3 held = size;
  held[axis] = std::min(depth, size[axis]);
  return classes * held[0] * held[1] * held[2] * static_cast<int64_t>(torch::elementSize(type));
}

}  // namespace mambaseg
