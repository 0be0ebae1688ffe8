#include "mambaseg/infer/score_resampler.h"

#include <algorithm>
#include <cassert>

#include "mambaseg/core/error.h"
#include "mambaseg/infer/vote_layout.h"

namespace mambaseg {

ScoreResampler::ScoreResampler(int64_t classes, const Index3& from, const Box& box, const Index3& to,
                               std::optional<int> separate, Slice slice, Total total, uint8_t* winners,
                               int slab_axis)
    : to_{}, slice_(std::move(slice)), grids_{classes, total, {}, winners, {}} {
  require(!winners || classes <= 256, "prediction: at most 256 classes, got ", classes);
  assert(!slice_ || slab_axis == 2);
  turn_ = slab_axis == 0 ? Index3{1, 2, 0} : slab_axis == 1 ? Index3{0, 2, 1} : Index3{0, 1, 2};
  const Index3 steps{1, to[0], to[0] * to[1]};
  for (size_t here = 0; here < 3; ++here) {
    const auto axis = static_cast<int>(turn_[here]);
    to_[here] = to[axis];
    grids_.step[here] = steps[axis];
    grids_.axes[here] =
        resampled_axis(from[axis], box.start[axis], box.size[axis], to[axis], axis == separate ? 0 : 1);
  }
}

void ScoreResampler::hand_out(const torch::Tensor& inside_KXY) {
  const ResampledAxis &x = grids_.axes[0], &y = grids_.axes[1];
  if (inside_KXY.defined() && inside_KXY.size(1) == to_[0] && inside_KXY.size(2) == to_[1]) {
    slice_(inside_KXY, next_++);
    return;
  }
  auto whole_KXY = torch::zeros({grids_.classes, to_[0], to_[1]});
  whole_KXY[0].fill_(1);
  if (inside_KXY.defined())
    whole_KXY.narrow(1, x.begin, x.end - x.begin).narrow(2, y.begin, y.end - y.begin).copy_(inside_KXY);
  slice_(whole_KXY, next_++);
}

void ScoreResampler::skip_to(int64_t z) {
  while (slice_ && next_ < z) hand_out({});
  next_ = std::max(next_, z);
}

void ScoreResampler::take(const torch::Tensor& given_KXYZ, int64_t first) {
  const torch::Tensor scores_KXYZ = given_KXYZ.permute({0, turn_[0] + 1, turn_[1] + 1, turn_[2] + 1});
  if (grids_.axes[0].end == 0 || grids_.axes[1].end == 0) return;  // the box touches no voxel of the target
  skip_to(grids_.axes[2].begin);
  const int64_t slices = scores_KXYZ.size(3);
  const int64_t step = slice_ || !scores_KXYZ.is_cpu() ? 1 : slices;
  for (int64_t done = 0; done < slices; done += step)
    take_part(classes_innermost(scores_KXYZ.narrow(3, done, step).to(torch::kCPU)), first + done);
}

void ScoreResampler::take_part(const torch::Tensor& scores_KXYZ, int64_t first) {
  const ResampledAxis &x = grids_.axes[0], &y = grids_.axes[1], &z = grids_.axes[2];
  const int64_t behind = first + scores_KXYZ.size(3);
  const auto ready = [&](int64_t target) {
    return target < z.end && z.high[static_cast<size_t>(target - z.begin)] < behind;
  };
  while (ready(next_)) {
    const int64_t low = z.low[static_cast<size_t>(next_ - z.begin)];
    require(low >= first || (low == first - 1 && last_KXYZ_.defined()), "scores: a slab is missing");
    int64_t end = next_ + 1;
    while (!slice_ && ready(end)) ++end;
    torch::Tensor p_XYK;
    if (slice_) p_XYK = torch::empty({x.end - x.begin, y.end - y.begin, grids_.classes});
    resample({scores_KXYZ, first, last_KXYZ_}, grids_, next_ - z.begin, end - z.begin, p_XYK);
    if (slice_)
      hand_out(p_XYK.permute({2, 0, 1}));
    else
      next_ = end;
  }
  last_KXYZ_ = torch::Tensor();
  if (next_ < z.end && z.low[static_cast<size_t>(next_ - z.begin)] < behind)
    last_KXYZ_ = scores_KXYZ.slice(3, -1)
                     .permute({1, 2, 3, 0})
                     .clone(at::MemoryFormat::Contiguous)
                     .permute({3, 0, 1, 2});
}

void ScoreResampler::finish() { skip_to(to_[2]); }

}  // namespace mambaseg
