#include "mambaseg/data/crop.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

template <class T, class Test>
std::optional<Box> box_where(const Volume<T>& volume, Test&& inside) {
  const Index3& n = volume.geometry.size;
  Index3 first = n;
  Index3 last{-1, -1, -1};
  const T* row = volume.voxels.data();
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j, row += n[0]) {
      int any = 0;  // of a size that becomes lanes
#pragma omp simd reduction(| : any)
      for (int64_t i = 0; i < n[0]; ++i) any |= static_cast<int>(inside(row[i]));
      if (any == 0) continue;
      int64_t low = 0;
      while (!inside(row[low])) ++low;
      int64_t high = n[0] - 1;
      while (!inside(row[high])) --high;
      const Index3 from{low, j, k}, to{high, j, k};
      for (int axis = 0; axis < 3; ++axis) {
        first[axis] = std::min(first[axis], from[axis]);
        last[axis] = std::max(last[axis], to[axis]);
      }
    }
  if (last[0] < 0) return std::nullopt;
  return Box{first, {last[0] - first[0] + 1, last[1] - first[1] + 1, last[2] - first[2] + 1}};
}

int64_t widened_size(int64_t size, int64_t patch, int64_t step) {
  return size <= patch ? patch : patch + (size - patch + step - 1) / step * step;
}

/// The overlap of `box` with a grid of `sizes`, as (start, length) in the grid; length 0 when there is none.
std::array<std::array<int64_t, 2>, 3> overlap(const Box& box, torch::IntArrayRef sizes) {
  std::array<std::array<int64_t, 2>, 3> out{};
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t low = std::clamp<int64_t>(box.start[axis], 0, sizes[axis]);
    const int64_t high = std::clamp<int64_t>(box.end(axis), low, sizes[axis]);
    out[axis] = {low, high - low};
  }
  return out;
}

}  // namespace

Box whole_box(const Index3& size) { return {{0, 0, 0}, size}; }

std::optional<Box> nonzero_box(const Volume<float>& image) {
  return box_where(image, [](float value) { return value != 0; });
}

std::optional<Box> nonzero_box(const Volume<uint8_t>& mask) {
  return box_where(mask, [](uint8_t value) { return value != 0; });
}

Box joined(const Box& a, const Box& b) {
  Box out;
  for (int axis = 0; axis < 3; ++axis) {
    out.start[axis] = std::min(a.start[axis], b.start[axis]);
    out.size[axis] = std::max(a.end(axis), b.end(axis)) - out.start[axis];
  }
  return out;
}

std::optional<Box> label_box(const Volume<int32_t>& labels, const std::vector<int64_t>& wanted) {
  return box_where(labels, [&](int32_t label) {
    return std::find(wanted.begin(), wanted.end(), static_cast<int64_t>(label)) != wanted.end();
  });
}

Box widened_for_patches(const Box& box, const Index3& patch, int64_t step) {
  Box out = box;
  for (int axis = 0; axis < 3; ++axis) {
    out.size[axis] = widened_size(box.size[axis], patch[axis], step);
    out.start[axis] -= (out.size[axis] - box.size[axis]) / 2;
  }
  return out;
}

Box region_box(const Box& box, const Index3& patch, int64_t step, const Index3& grid) {
  Box out = widened_for_patches(box, patch, step);
  for (int axis = 0; axis < 3; ++axis) {
    if (out.size[axis] <= grid[axis])
      out.start[axis] = std::clamp<int64_t>(out.start[axis], 0, grid[axis] - out.size[axis]);
    else
      out.start[axis] = -((out.size[axis] - grid[axis]) / 2);
  }
  return out;
}

std::vector<int64_t> patch_positions(int64_t size, int64_t patch, int64_t step) {
  require(patch >= 1 && step >= 1, "patches: expected a patch and a step of at least 1 voxel, got ", patch,
          " and ", step);
  std::vector<int64_t> out;
  for (int64_t start = 0; start + patch <= size; start += step) out.push_back(start);
  return out;
}

std::vector<int64_t> spread_positions(int64_t size, int64_t patch, double fraction) {
  require(patch >= 1 && patch <= size && fraction > 0 && fraction <= 1,
          "patches: expected a patch of at most ", size, " voxels and a step of 0 to 1 patches, got ", patch,
          " and ", fraction);
  const auto room = static_cast<double>(size - patch);
  const auto steps = static_cast<int64_t>(std::ceil(room / (static_cast<double>(patch) * fraction)));
  std::vector<int64_t> out{0};
  for (int64_t i = 1; i <= steps; ++i)
    out.push_back(
        static_cast<int64_t>(std::nearbyint(room / static_cast<double>(steps) * static_cast<double>(i))));
  return out;
}

std::vector<Index3> patch_starts(const Index3& size, const Index3& patch, int64_t step) {
  std::array<std::vector<int64_t>, 3> along;
  for (int axis = 0; axis < 3; ++axis) along[axis] = patch_positions(size[axis], patch[axis], step);
  return starts_of(along);
}

std::vector<Index3> starts_of(const std::array<std::vector<int64_t>, 3>& along) {
  std::vector<Index3> out;
  out.reserve(along[0].size() * along[1].size() * along[2].size());
  for (const int64_t k : along[2])
    for (const int64_t j : along[1])
      for (const int64_t i : along[0]) out.push_back({i, j, k});
  return out;
}

torch::Tensor cut_box(const torch::Tensor& values, const Box& box) {
  const int64_t first = values.dim() - 3;
  auto sizes = values.sizes().slice(0, static_cast<size_t>(first)).vec();
  sizes.insert(sizes.end(), box.size.begin(), box.size.end());
  auto out = torch::zeros(sizes, values.options());
  const auto part = overlap(box, values.sizes().slice(static_cast<size_t>(first)));
  torch::Tensor from = values;
  torch::Tensor to = out;
  for (int axis = 0; axis < 3; ++axis) {
    if (part[axis][1] == 0) return out;
    from = from.narrow(first + axis, part[axis][0], part[axis][1]);
    to = to.narrow(first + axis, part[axis][0] - box.start[axis], part[axis][1]);
  }
  to.copy_(from);
  return out;
}

void paste_box(torch::Tensor whole, const torch::Tensor& part, const Box& box) {
  const auto inside = overlap(box, whole.sizes());
  torch::Tensor from = part;
  for (int axis = 0; axis < 3; ++axis) {
    if (inside[axis][1] == 0) return;
    whole = whole.narrow(axis, inside[axis][0], inside[axis][1]);
    from = from.narrow(axis, inside[axis][0] - box.start[axis], inside[axis][1]);
  }
  whole.copy_(from);
}

}  // namespace mambaseg
