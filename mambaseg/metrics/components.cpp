#include "mambaseg/metrics/components.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "mambaseg/metrics/surface.h"

namespace mambaseg {
namespace {

/// Union-find with path halving; the smaller index is the root, so roots are first runs.
class DisjointSets {
 public:
  explicit DisjointSets(size_t count) : parent_(count) {
    std::iota(parent_.begin(), parent_.end(), int64_t{0});
  }
  int64_t root(int64_t a) {
    while (parent_[size_t(a)] != a) a = parent_[size_t(a)] = parent_[size_t(parent_[size_t(a)])];
    return a;
  }
  void join(int64_t a, int64_t b) {
    a = root(a);
    b = root(b);
    parent_[size_t(std::max(a, b))] = std::min(a, b);
  }

 private:
  std::vector<int64_t> parent_;
};

void find_runs(const Volume<int32_t>& image, Components& out) {
  const Index3& n = image.geometry.size;
  const int64_t rows = n[1] * n[2];
  out.row_begin.reserve(size_t(rows) + 1);
  for (int64_t r = 0; r < rows; ++r) {
    out.row_begin.push_back(int64_t(out.runs.size()));
    const int32_t* row = &image.voxels[size_t(n[0] * r)];
    for (int64_t i = 0; i < n[0];) {
      const int64_t begin = i;
      const int32_t label = row[i];
      while (i < n[0] && row[i] == label) ++i;
      if (label != 0) out.runs.push_back({int32_t(begin), int32_t(i), label, 0});
    }
  }
  out.row_begin.push_back(int64_t(out.runs.size()));
}

/// Joins runs of two rows that have the same label and share a position, or come within `reach` of it.
void join_rows(const Components& all, int64_t row, int64_t earlier, int32_t reach, DisjointSets& sets) {
  int64_t first = all.row_begin[size_t(earlier)];
  const int64_t end = all.row_begin[size_t(earlier) + 1];
  for (int64_t a = all.row_begin[size_t(row)]; a < all.row_begin[size_t(row) + 1]; ++a) {
    const Run& run = all.runs[size_t(a)];
    while (first < end && all.runs[size_t(first)].i_end + reach <= run.i_begin) ++first;
    for (int64_t b = first; b < end && all.runs[size_t(b)].i_begin < run.i_end + reach; ++b)
      if (all.runs[size_t(b)].label == run.label) sets.join(a, b);
  }
}

}  // namespace

Components connected_components(const Volume<int32_t>& image, Connectivity connectivity) {
  Components out;
  find_runs(image, out);
  DisjointSets sets(out.runs.size());
  const Index3& n = image.geometry.size;
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (const auto& [dj, dk] : {std::pair{-1, 0}, {-1, -1}, {0, -1}, {1, -1}}) {
        const int steps = std::abs(dj) + std::abs(dk);
        if (steps > int(connectivity) || j + dj < 0 || j + dj >= n[1] || k + dk < 0) continue;
        join_rows(out, j + n[1] * k, j + dj + n[1] * (k + dk), steps < int(connectivity), sets);
      }
  std::vector<int64_t> number(out.runs.size());
  for (size_t r = 0; r < out.runs.size(); ++r) {
    Run& run = out.runs[r];
    const int64_t root = sets.root(int64_t(r));
    if (root == int64_t(r)) {
      number[r] = int64_t(out.voxels.size());
      out.voxels.push_back(0);
      out.labels.push_back(run.label);
    }
    run.component = number[size_t(root)];
    out.voxels[size_t(run.component)] += run.i_end - run.i_begin;
  }
  return out;
}

std::vector<LesionCounts> count_lesions(const Components& reference, const Components& prediction,
                                        std::span<const int32_t> labels) {
  std::vector<bool> found(reference.voxels.size(), false), confirmed(prediction.voxels.size(), false);
  for (size_t row = 0; row + 1 < reference.row_begin.size(); ++row) {
    int64_t a = reference.row_begin[row], b = prediction.row_begin[row];
    while (a < reference.row_begin[row + 1] && b < prediction.row_begin[row + 1]) {
      const Run &p = reference.runs[size_t(a)], &q = prediction.runs[size_t(b)];
      if (p.label == q.label && p.i_begin < q.i_end && q.i_begin < p.i_end)
        found[size_t(p.component)] = confirmed[size_t(q.component)] = true;
      ++(p.i_end <= q.i_end ? a : b);
    }
  }
  std::vector<LesionCounts> counts(labels.size());
  LabelSlots slots(labels);
  for (size_t c = 0; c < found.size(); ++c)
    if (const int64_t slot = slots.slot(reference.labels[c]); slot >= 0) {
      ++counts[size_t(slot)].reference;
      counts[size_t(slot)].found += found[c];
    }
  for (size_t c = 0; c < confirmed.size(); ++c)
    if (const int64_t slot = slots.slot(prediction.labels[c]); slot >= 0) {
      ++counts[size_t(slot)].prediction;
      counts[size_t(slot)].confirmed += confirmed[c];
    }
  return counts;
}

}  // namespace mambaseg
