#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include <torch/types.h>

#include "mambaseg/scan/order.h"

namespace mambaseg {

/// Keeps what was made for the token grids met last, on their devices: walks cost more to make than to
/// follow, and a network meets the same few grids again and again, one in training and one in validation.
/// Threads may share it.
template <class Value>
class RecentGrids {
 public:
  static constexpr size_t kKept = 4;

  /// What `make()` gave for this grid and device.
  template <class Make>
  std::shared_ptr<const Value> get(const TokenGrid& grid, torch::Device device, Make make) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& one) {
      return one.grid == grid && one.device == device;
    });
    if (found == kept_.end()) {
      kept_.insert(kept_.begin(), {grid, device, std::make_shared<const Value>(make())});
      if (kept_.size() > kKept) kept_.pop_back();
    } else {
      std::rotate(kept_.begin(), found, found + 1);
    }
    return kept_.front().value;
  }

 private:
  struct Kept {
    TokenGrid grid;
    torch::Device device;
    std::shared_ptr<const Value> value;
  };
  std::mutex mutex_;
  std::vector<Kept> kept_;  // the last one met in front
};

}  // namespace mambaseg
