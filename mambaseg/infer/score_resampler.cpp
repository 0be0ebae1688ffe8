#include "mambaseg/infer/score_resampler.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cassert>

#include "mambaseg/core/error.h"
#include "mambaseg/data/resize.h"
#include "mambaseg/infer/vote_layout.h"

namespace mambaseg {
namespace {

/// Half open.
struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

/// Pieces of a range, `step` long but for the last.
Range piece(const Range& all, int64_t step, int64_t index) {
  const int64_t begin = all.begin + index * step;
  return {begin, std::min(all.end, begin + step)};
}
int64_t pieces(const Range& all, int64_t step) { return (all.size() + step - 1) / step; }

}  // namespace

ScoreResampler::Axis ScoreResampler::axis_of(int64_t from, int64_t start, int64_t size, int64_t to,
                                             int order) {
  const auto nearest = axis_taps(from, to, 0), taps = axis_taps(from, to, order);
  Axis out;
  for (int64_t x = 0; x < to; ++x) {
    const auto at = static_cast<size_t>(x);
    const int64_t in_box = nearest[at][0].index - start;
    if (in_box < 0 || in_box >= size) continue;
    if (out.low.empty()) out.begin = x;
    out.end = x + 1;
    const float share = taps[at].size() > 1 ? static_cast<float>(taps[at].back().weight) : 0.0F;
    const Tap &low = taps[at].front(), &high = share > 0 ? taps[at].back() : low;
    out.low.push_back(std::clamp<int64_t>(low.index - start, 0, size - 1));
    out.high.push_back(std::clamp<int64_t>(high.index - start, 0, size - 1));
    out.share.push_back(out.high.back() == out.low.back() ? 0 : share);
  }
  return out;
}

ScoreResampler::ScoreResampler(int64_t classes, const Index3& from, const Box& box, const Index3& to,
                               std::optional<int> separate, Slice slice, Total total, uint8_t* winners,
                               int slab_axis)
    : classes_(classes), slice_(std::move(slice)), total_(total), winners_(winners) {
  require(!winners || classes <= 256, "prediction: at most 256 classes, got ", classes);
  assert(!slice_ || slab_axis == 2);
  turn_ = slab_axis == 0 ? Index3{1, 2, 0} : slab_axis == 1 ? Index3{0, 2, 1} : Index3{0, 1, 2};
  const Index3 steps{1, to[0], to[0] * to[1]};
  for (size_t here = 0; here < 3; ++here) {
    const auto axis = static_cast<int>(turn_[here]);
    to_[here] = to[axis];
    step_[here] = steps[axis];
    axes_[here] = axis_of(from[axis], box.start[axis], box.size[axis], to[axis], axis == separate ? 0 : 1);
  }
}

/// Target voxels of a slab of votes of type T, tile by tile, small enough to stay in the cache between the
/// steps: probabilities of the box voxels, blended along z, then x, then y.
template <class T>
class ScoreResampler::Tiles {
 public:
  /// Slices `first`, ... of the box. `p_XYK`, where defined, gets the probabilities of the one slice of
  /// `slices`.
  Tiles(const ScoreResampler& of, const torch::Tensor& scores_KXYZ, int64_t first, const T* scores,
        const torch::Tensor& p_XYK)
      : of_(of), scores_KXYZ_(scores_KXYZ), first_(first), scores_(scores), p_XYK_(p_XYK) {
    if (of.last_KXYZ_.defined()) last_ = static_cast<const T*>(of.last_KXYZ_.data_ptr());
  }

  /// Target slices `slices`, counted from the first in the box as all target voxels here.
  void run(const Range& slices) const {
    const Range columns{0, of_.axes_[0].end - of_.axes_[0].begin};
    const Range rows{0, of_.axes_[1].end - of_.axes_[1].begin};
    const int64_t along_x = pieces(columns, kColumns), along_y = pieces(rows, kEdge);
    at::parallel_for(0, along_x * along_y, 1, [&](int64_t begin, int64_t end) {
      Work work;
      for (int64_t tile = begin; tile < end; ++tile)
        for (int64_t z = 0; z < pieces(slices, kEdge); ++z)
          fill(piece(columns, kColumns, tile % along_x), piece(rows, kEdge, tile / along_x),
               piece(slices, kEdge, z), work);
    });
  }

 private:
  static constexpr int64_t kColumns = 64;  ///< bytes of a cache line, in which winners are written
  static constexpr int64_t kEdge = 16;

  /// Box voxels (y, target z, padded classes) of one x.
  struct Line {
    int64_t x = -1;
    std::vector<float> p;
  };
  struct Work {
    std::array<Line, 2> lines;
    std::vector<float> normalised, between_x, between_y;
    std::array<uint8_t, kEdge> winners;
  };

  /// Whether nothing lies between two voxels, so that votes decide as they are.
  bool on_grid(int axis, const Range& range) const {
    const Axis& a = of_.axes_[static_cast<size_t>(axis)];
    return std::all_of(a.share.begin() + range.begin, a.share.begin() + range.end,
                       [](float share) { return share == 0; });
  }

  void fill(const Range& xs, const Range& ys, const Range& zs, Work& work) const {
    if (!p_XYK_.defined() && on_grid(0, xs) && on_grid(1, ys) && on_grid(2, zs))
      decide_on_grid(xs, ys, zs, work);
    else
      blend(xs, ys, zs, work);
  }

  /// Slice z of the box at x, y.
  const T* votes_at(int64_t x, int64_t y, int64_t z) const {
    if (z < first_) return last_ + x * of_.last_KXYZ_.stride(1) + y * of_.last_KXYZ_.stride(2);
    return scores_ + x * scores_KXYZ_.stride(1) + y * scores_KXYZ_.stride(2) +
           (z - first_) * scores_KXYZ_.stride(3);
  }

  void write(const Work& work, int64_t x, int64_t y, const Range& zs) const {
    const auto& [x_step, y_step, z_step] = of_.step_;
    uint8_t* to = of_.winners_ + (of_.axes_[2].begin + zs.begin) * z_step +
                  (of_.axes_[1].begin + y) * y_step + (of_.axes_[0].begin + x) * x_step;
    for (int64_t z = 0; z < zs.size(); ++z) to[z * z_step] = work.winners[static_cast<size_t>(z)];
  }

  void decide_on_grid(const Range& xs, const Range& ys, const Range& zs, Work& work) const {
    const auto &x_of = of_.axes_[0].low, &y_of = of_.axes_[1].low, &z_of = of_.axes_[2].low;
    const auto z0 = static_cast<size_t>(zs.begin);
    const bool in_a_row =
        z_of[z0] >= first_ && z_of[z0 + static_cast<size_t>(zs.size()) - 1] - z_of[z0] == zs.size() - 1;
    for (int64_t y = ys.begin; y < ys.end; ++y)
      for (int64_t x = xs.begin; x < xs.end; ++x) {
        const auto at = [&](int64_t z) {
          return votes_at(x_of[static_cast<size_t>(x)], y_of[static_cast<size_t>(y)],
                          z_of[z0 + static_cast<size_t>(z)]);
        };
        if (in_a_row)
          winning_class(at(0), zs.size(), of_.classes_, scores_KXYZ_.stride(3), of_.total_,
                        work.winners.data());
        else
          for (int64_t z = 0; z < zs.size(); ++z)
            winning_class(at(z), 1, of_.classes_, 0, of_.total_, &work.winners[static_cast<size_t>(z)]);
        write(work, x, y, zs);
      }
  }

  /// The line of box voxels at x, made anew unless it is there; `other` stays.
  const Line& line_at(int64_t x, const Range& box_y, const Range& zs, Work& work, const Line* other) const {
    for (const Line& line : work.lines)
      if (line.x == x) return line;
    Line& line = &work.lines[0] == other ? work.lines[1] : work.lines[0];
    line.x = x;
    const Axis& z = of_.axes_[2];
    const auto z0 = static_cast<size_t>(zs.begin), z1 = static_cast<size_t>(zs.end) - 1;
    const Range box_z{z.low[z0], z.high[z1] + 1};
    const int64_t padded = padded_classes(of_.classes_);
    line.p.resize(static_cast<size_t>(box_y.size() * zs.size() * padded));
    work.normalised.resize(static_cast<size_t>(box_z.size() * padded));
    float *to = line.p.data(), *const normalised = work.normalised.data();
    for (int64_t y = box_y.begin; y < box_y.end; ++y) {
      const int64_t before = std::min(box_z.end, std::max(box_z.begin, first_)) - box_z.begin;  // in last_
      if (before > 0) normalise_votes(votes_at(x, y, first_ - 1), 1, of_.classes_, 0, of_.total_, normalised);
      if (before < box_z.size())
        normalise_votes(votes_at(x, y, box_z.begin + before), box_z.size() - before, of_.classes_,
                        scores_KXYZ_.stride(3), of_.total_, normalised + before * padded);
      for (size_t t = z0; t <= z1; ++t, to += padded) {
        const float* low = normalised + (z.low[t] - box_z.begin) * padded;
        const float* high = normalised + (z.high[t] - box_z.begin) * padded;
        blend_votes(low, high, z.share[t], padded, to);
      }
    }
    return line;
  }

  /// a and b, or what lies between them.
  static const float* between(const float* a, const float* b, float share, int64_t count,
                              std::vector<float>& room) {
    if (share == 0) return a;
    room.resize(static_cast<size_t>(count));
    blend_votes(a, b, share, count, room.data());
    return room.data();
  }

  void blend(const Range& xs, const Range& ys, const Range& zs, Work& work) const {
    const Axis &x = of_.axes_[0], &y = of_.axes_[1];
    const Range box_y{y.low[static_cast<size_t>(ys.begin)], y.high[static_cast<size_t>(ys.end) - 1] + 1};
    const int64_t padded = padded_classes(of_.classes_), row = zs.size() * padded;
    for (Line& line : work.lines) line.x = -1;
    for (int64_t i = xs.begin; i < xs.end; ++i) {
      const auto at = static_cast<size_t>(i);
      const Line& low = line_at(x.low[at], box_y, zs, work, nullptr);
      const Line& high = line_at(x.high[at], box_y, zs, work, &low);
      const float* here =
          between(low.p.data(), high.p.data(), x.share[at], box_y.size() * row, work.between_x);
      for (int64_t j = ys.begin; j < ys.end; ++j) {
        const auto to = static_cast<size_t>(j);
        const float* p = between(here + (y.low[to] - box_y.begin) * row,
                                 here + (y.high[to] - box_y.begin) * row, y.share[to], row, work.between_y);
        if (of_.winners_) {
          winning_class(p, zs.size(), of_.classes_, padded, of_.total_, work.winners.data());
          write(work, i, j, zs);
        }
        if (p_XYK_.defined())
          std::copy_n(p, of_.classes_,
                      p_XYK_.data_ptr<float>() + i * p_XYK_.stride(0) + j * p_XYK_.stride(1));
      }
    }
  }

  const ScoreResampler& of_;
  const torch::Tensor& scores_KXYZ_;
  int64_t first_;
  const T* scores_;
  const T* last_ = nullptr;
  const torch::Tensor& p_XYK_;
};

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

void ScoreResampler::skip_to(int64_t z) {
  while (slice_ && next_ < z) hand_out({});
  next_ = std::max(next_, z);
}

void ScoreResampler::take(const torch::Tensor& given_KXYZ, int64_t first) {
  const torch::Tensor scores_KXYZ = given_KXYZ.permute({0, turn_[0] + 1, turn_[1] + 1, turn_[2] + 1});
  if (axes_[0].end == 0 || axes_[1].end == 0) return;  // the box touches no voxel of the target
  skip_to(axes_[2].begin);
  const int64_t slices = scores_KXYZ.size(3);
  const int64_t step = slice_ || !scores_KXYZ.is_cpu() ? 1 : slices;
  for (int64_t done = 0; done < slices; done += step)
    take_part(classes_innermost(scores_KXYZ.narrow(3, done, step).to(torch::kCPU)), first + done);
}

void ScoreResampler::take_part(const torch::Tensor& scores_KXYZ, int64_t first) {
  const Axis &x = axes_[0], &y = axes_[1], &z = axes_[2];
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
    if (slice_) p_XYK = torch::empty({x.end - x.begin, y.end - y.begin, classes_});
    with_votes(scores_KXYZ, [&]<class T>(const T* scores) {
      Tiles<T>(*this, scores_KXYZ, first, scores, p_XYK).run({next_ - z.begin, end - z.begin});
    });
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
