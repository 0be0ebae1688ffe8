#pragma once

#include <memory>
#include <mutex>

#include <torch/types.h>

#include "mambaseg/scan/order.h"

namespace mambaseg {

/// Keeps what was made for the last token grid and device: walks cost more to make than to follow, and a
/// network meets the same grid again and again. Threads may share it.
template <class Value>
class OfLastGrid {
 public:
  /// What `make()` gave for this grid and device.
  template <class Make>
  std::shared_ptr<const Value> get(const TokenGrid& grid, torch::Device device, Make make) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!value_ || grid_ != grid || device_ != device) {
      value_ = std::make_shared<const Value>(make());
      grid_ = grid;
      device_ = device;
    }
    return value_;
  }

 private:
  std::mutex mutex_;
  TokenGrid grid_{};
  torch::Device device_ = torch::kCPU;
  std::shared_ptr<const Value> value_;
};

}  // namespace mambaseg
