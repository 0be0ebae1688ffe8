#include "mambaseg/infer/score_resampler.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/data/resize.h"

namespace mambaseg {
namespace {}  // namespace

torch::Tensor ScoreResampler::normalised(const torch::Tensor& scores_KXY) const {
  const auto scores = scores_KXY.to(torch::kCPU, torch::kFloat32);
  const auto total = total_ == Total::sum ? scores.sum(0) : scores[0];
  return scores / total.clamp_min(1e-30);
}

ScoreResampler::Axis ScoreResampler::axis_of(int64_t from, int64_t start, int64_t size, int64_t to,
                                             int order) {
  const auto nearest = axis_taps(from, to, 0), taps = axis_taps(from, to, order);
  Axis out;
  std::vector<int64_t> low, high;
  std::vector<float> share;
  for (int64_t x = 0; x < to; ++x) {
    const auto at = static_cast<size_t>(x);
    const int64_t in_box = nearest[at][0].index - start;
    if (in_box < 0 || in_box >= size) continue;
    if (low.empty()) out.begin = x;
    out.end = x + 1;
    low.push_back(std::clamp<int64_t>(taps[at].front().index - start, 0, size - 1));
    high.push_back(std::clamp<int64_t>(taps[at].back().index - start, 0, size - 1));
    share.push_back(taps[at].size() > 1 ? static_cast<float>(taps[at].back().weight) : 0.0F);
  }
  out.low = torch::tensor(low, torch::kInt64);
  out.high = torch::tensor(high, torch::kInt64);
  out.share = torch::tensor(share);
  out.identity = from == to;
  return out;
}

ScoreResampler::ScoreResampler(int64_t classes, const Index3& from, const Box& box, const Index3& to,
                               std::optional<int> separate, Slice slice, Total total)
    : classes_(classes), to_(to), slice_(std::move(slice)), total_(total) {
  for (int axis = 0; axis < 3; ++axis)
    axes_[static_cast<size_t>(axis)] =
        axis_of(from[axis], box.start[axis], box.size[axis], to[axis], axis == separate ? 0 : 1);
}

torch::Tensor ScoreResampler::in_plane(torch::Tensor p_KXY) const {
  for (int axis = 0; axis < 2; ++axis) {
    const Axis& a = axes_[static_cast<size_t>(axis)];
    const int64_t dim = axis + 1;
    if (a.identity) {
      p_KXY = p_KXY.narrow(dim, a.low[0].item<int64_t>(), a.end - a.begin);
      continue;
    }
    const auto share = axis == 0 ? a.share.unsqueeze(-1) : a.share;
    p_KXY = torch::lerp(p_KXY.index_select(dim, a.low), p_KXY.index_select(dim, a.high), share);
  }
  return p_KXY;
}

void ScoreResampler::hand_out(const torch::Tensor& inside_KXY) {
  const Axis &x = axes_[0], &y = axes_[1];
  if (inside_KXY.defined() && inside_KXY.size(1) == to_[0] && inside_KXY.size(2) == to_[1]) {
    slice_(inside_KXY, next_++);
    return;
  }
  auto whole_KXY = torch::zeros({classes_, to_[0], to_[1]});
  whole_KXY[0].fill_(1);
  if (inside_KXY.defined())
    whole_KXY.narrow(1, x.begin, x.end - x.begin).narrow(2, y.begin, y.end - y.begin).copy_(inside_KXY);
  slice_(whole_KXY, next_++);
}

void ScoreResampler::take(const torch::Tensor& scores_KXYZ, int64_t first) {
  const Axis& z = axes_[2];
  const int64_t behind = first + scores_KXYZ.size(3);
  if (axes_[0].end == 0 || axes_[1].end == 0) return;  // the box touches no voxel of the target
  while (next_ < z.begin) hand_out({});
  const auto slice_at = [&](int64_t at) {
    require(at >= first || (at == first - 1 && last_KXY_.defined()), "scores: a slab is missing");
    return at < first ? last_KXY_ : normalised(scores_KXYZ.select(3, at - first));
  };
  for (; next_ < z.end;) {
    const int64_t entry = next_ - z.begin, low = z.low[entry].item<int64_t>(),
                  high = z.high[entry].item<int64_t>();
    if (high >= behind) break;
    const float share = z.share[entry].item<float>();
    torch::Tensor p_KXY = slice_at(low);
    if (share > 0) p_KXY = torch::lerp(p_KXY, slice_at(high), share);
    hand_out(in_plane(p_KXY));
  }
  last_KXY_ = normalised(scores_KXYZ.select(3, scores_KXYZ.size(3) - 1));
}

void ScoreResampler::finish() {
  while (next_ < to_[2]) hand_out({});
}

}  // namespace mambaseg
