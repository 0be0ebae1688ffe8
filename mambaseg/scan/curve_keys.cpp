#include "mambaseg/scan/curve_keys.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "mambaseg/core/error.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {

ScanOrder by_interleaved_bits(TokenGrid grid,
                              const std::function<TokenPlace(TokenPlace place, int bits)>& of) {
  const int64_t count = token_count(grid);
  const int bits = static_cast<int>(
      std::bit_width(static_cast<uint64_t>(*std::max_element(grid.begin(), grid.end()) - 1)));
  const auto axes = std::count_if(grid.begin(), grid.end(), [](int64_t extent) { return extent > 1; });
  require(bits * axes <= 64, "curve: expected axes of at most 2^", 64 / std::max<int64_t>(axes, 1),
          " tokens, got ", grid[0], " x ", grid[1], " x ", grid[2]);
  std::vector<std::pair<uint64_t, int32_t>> keyed;
  keyed.reserve(static_cast<size_t>(count));
  for (int64_t token = 0; token < count; ++token) {
    TokenPlace place;
    for (int64_t axis = 0, behind = count; axis < 3; ++axis) {
      behind /= grid[axis];
      if (grid[axis] > 1) place.push_back(static_cast<uint32_t>(token / behind % grid[axis]));
    }
    const TokenPlace turned = of(std::move(place), bits);
    uint64_t key = 0;
    for (int bit = bits - 1; bit >= 0; --bit)
      for (const uint32_t along : turned) key = key << 1 | (along >> bit & 1);
    keyed.emplace_back(key, static_cast<int32_t>(token));
  }
  std::sort(keyed.begin(), keyed.end());
  ScanOrder order;
  order.reserve(keyed.size());
  for (const auto& [key, token] : keyed) order.push_back(token);
  return order;
}

}  // namespace mambaseg
