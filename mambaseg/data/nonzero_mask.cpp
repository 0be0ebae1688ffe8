#include "mambaseg/data/nonzero_mask.h"

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr uint8_t kHole = 1, kOutside = 0, kUnknown = 2;

/// Marks the unknown voxels that touch the border, directly or through others, as outside.
void flood_from_border(Volume<uint8_t>& mask) {
  const Index3& n = mask.geometry.size;
  std::vector<Index3> open;
  const auto visit = [&](const Index3& v) {
    for (int axis = 0; axis < 3; ++axis)
      if (v[axis] < 0 || v[axis] >= n[axis]) return;
    uint8_t& value = mask.at(v[0], v[1], v[2]);
    if (value != kUnknown) return;
    value = kOutside;
    open.push_back(v);
  };
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j) {
      const bool whole_row = k == 0 || k == n[2] - 1 || j == 0 || j == n[1] - 1;
      for (int64_t i = 0; i < n[0]; i += whole_row ? 1 : std::max<int64_t>(1, n[0] - 1)) visit({i, j, k});
    }
  while (!open.empty()) {
    const Index3 at = open.back();
    open.pop_back();
    for (int axis = 0; axis < 3; ++axis)
      for (const int64_t step : {-1, 1}) {
        Index3 next = at;
        next[axis] += step;
        visit(next);
      }
  }
}

}  // namespace

Volume<uint8_t> nonzero_mask(std::span<const Volume<float>> channels) {
  require(!channels.empty(), "mask: expected at least one channel");
  Volume<uint8_t> mask(channels[0].geometry, kUnknown);
  for (const Volume<float>& channel : channels) {
    require(channel.geometry.size == mask.geometry.size, "mask: channels of different sizes");
    for (size_t v = 0; v < mask.voxels.size(); ++v)
      if (channel.voxels[v] != 0) mask.voxels[v] = kHole;
  }
  flood_from_border(mask);
  for (uint8_t& value : mask.voxels) value = value != kOutside;
  return mask;
}

}  // namespace mambaseg
