#include "mambaseg/infer/score_tiles.h"

#include <ATen/Parallel.h>

#include <algorithm>

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

/// Target voxels of a slab of votes of type T, tile by tile, small enough to stay in the cache between the
/// steps: probabilities of the box voxels, blended along z, then x, then y.
template <class T>
class Tiles {
 public:
  Tiles(const ScoreSlab& slab, const ScoreGrids& grids, const torch::Tensor& p_XYK)
      : slab_(slab), of_(grids), p_XYK_(p_XYK), votes_(static_cast<const T*>(slab.votes_KXYZ.data_ptr())) {
    if (slab.before_KXYZ.defined()) before_ = static_cast<const T*>(slab.before_KXYZ.data_ptr());
  }

  void run(const Range& slices) const {
    const Range columns{0, of_.axes[0].end - of_.axes[0].begin};
    const Range rows{0, of_.axes[1].end - of_.axes[1].begin};
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
    const ResampledAxis& a = of_.axes[static_cast<size_t>(axis)];
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
    if (z < slab_.first) return before_ + x * slab_.before_KXYZ.stride(1) + y * slab_.before_KXYZ.stride(2);
    return votes_ + x * slab_.votes_KXYZ.stride(1) + y * slab_.votes_KXYZ.stride(2) +
           (z - slab_.first) * slab_.votes_KXYZ.stride(3);
  }

  void write(const Work& work, int64_t x, int64_t y, const Range& zs) const {
    const auto& [x_step, y_step, z_step] = of_.step;
    uint8_t* to = of_.winners + (of_.axes[2].begin + zs.begin) * z_step + (of_.axes[1].begin + y) * y_step +
                  (of_.axes[0].begin + x) * x_step;
    for (int64_t z = 0; z < zs.size(); ++z) to[z * z_step] = work.winners[static_cast<size_t>(z)];
  }

  void decide_on_grid(const Range& xs, const Range& ys, const Range& zs, Work& work) const {
    const auto &x_of = of_.axes[0].low, &y_of = of_.axes[1].low, &z_of = of_.axes[2].low;
    const auto z0 = static_cast<size_t>(zs.begin);
    const bool in_a_row =
        z_of[z0] >= slab_.first && z_of[z0 + static_cast<size_t>(zs.size()) - 1] - z_of[z0] == zs.size() - 1;
    for (int64_t y = ys.begin; y < ys.end; ++y)
      for (int64_t x = xs.begin; x < xs.end; ++x) {
        const auto at = [&](int64_t z) {
          return votes_at(x_of[static_cast<size_t>(x)], y_of[static_cast<size_t>(y)],
                          z_of[z0 + static_cast<size_t>(z)]);
        };
        if (in_a_row)
          winning_class(at(0), zs.size(), of_.classes, slab_.votes_KXYZ.stride(3), of_.total,
                        work.winners.data());
        else
          for (int64_t z = 0; z < zs.size(); ++z)
            winning_class(at(z), 1, of_.classes, 0, of_.total, &work.winners[static_cast<size_t>(z)]);
        write(work, x, y, zs);
      }
  }

  /// The line of box voxels at x, made anew unless it is there; `other` stays.
  const Line& line_at(int64_t x, const Range& box_y, const Range& zs, Work& work, const Line* other) const {
    for (const Line& line : work.lines)
      if (line.x == x) return line;
    Line& line = &work.lines[0] == other ? work.lines[1] : work.lines[0];
    line.x = x;
    const ResampledAxis& z = of_.axes[2];
    const auto z0 = static_cast<size_t>(zs.begin), z1 = static_cast<size_t>(zs.end) - 1;
    const Range box_z{z.low[z0], z.high[z1] + 1};
    const int64_t padded = padded_classes(of_.classes);
    line.p.resize(static_cast<size_t>(box_y.size() * zs.size() * padded));
    work.normalised.resize(static_cast<size_t>(box_z.size() * padded));
    float *to = line.p.data(), *const normalised = work.normalised.data();
    for (int64_t y = box_y.begin; y < box_y.end; ++y) {
      const int64_t before =
          std::min(box_z.end, std::max(box_z.begin, slab_.first)) - box_z.begin;  // in the slice before
      if (before > 0)
        normalise_votes(votes_at(x, y, slab_.first - 1), 1, of_.classes, 0, of_.total, normalised);
      if (before < box_z.size())
        normalise_votes(votes_at(x, y, box_z.begin + before), box_z.size() - before, of_.classes,
                        slab_.votes_KXYZ.stride(3), of_.total, normalised + before * padded);
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
    const ResampledAxis &x = of_.axes[0], &y = of_.axes[1];
    const Range box_y{y.low[static_cast<size_t>(ys.begin)], y.high[static_cast<size_t>(ys.end) - 1] + 1};
    const int64_t padded = padded_classes(of_.classes), row = zs.size() * padded;
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
        if (of_.winners) {
          winning_class(p, zs.size(), of_.classes, padded, of_.total, work.winners.data());
          write(work, i, j, zs);
        }
        if (p_XYK_.defined())
          std::copy_n(p, of_.classes, p_XYK_.data_ptr<float>() + i * p_XYK_.stride(0) + j * p_XYK_.stride(1));
      }
    }
  }

  const ScoreSlab& slab_;
  const ScoreGrids& of_;
  const torch::Tensor& p_XYK_;
  const T* votes_;
  const T* before_ = nullptr;
};

}  // namespace

ResampledAxis resampled_axis(int64_t from, int64_t start, int64_t size, int64_t to, int order) {
  const AxisTaps nearest = axis_taps(from, to, 0), taps = axis_taps(from, to, order);
  ResampledAxis out;
  for (int64_t x = 0; x < to; ++x) {
    const int64_t in_box = nearest[x].front().index - start;
    if (in_box < 0 || in_box >= size) continue;
    if (out.low.empty()) out.begin = x;
    out.end = x + 1;
    const float share = taps.each > 1 ? static_cast<float>(taps[x].back().weight) : 0.0F;
    const Tap &low = taps[x].front(), &high = share > 0 ? taps[x].back() : low;
    out.low.push_back(std::clamp<int64_t>(low.index - start, 0, size - 1));
    out.high.push_back(std::clamp<int64_t>(high.index - start, 0, size - 1));
    out.share.push_back(out.high.back() == out.low.back() ? 0 : share);
  }
  return out;
}

void resample(const ScoreSlab& slab, const ScoreGrids& grids, int64_t begin, int64_t end,
              const torch::Tensor& p_XYK) {
  with_votes(slab.votes_KXYZ, [&]<class T>(const T*) { Tiles<T>(slab, grids, p_XYK).run({begin, end}); });
}

}  // namespace mambaseg
