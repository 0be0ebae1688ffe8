#pragma once

#include <optional>
#include <string>

#include "mambaseg/scan/orders.h"

namespace mambaseg {

/// While one with a name lives, mixers that the calling thread makes scan along the orders of that name
/// (named_orders) instead of their own (blocks/chosen_walks.h). What it is made with stays with the network.
class ChosenOrdersGuard {
 public:
  /// Empty: each its own. UsageError for a name that is none.
  explicit ChosenOrdersGuard(const std::string& name);
  ~ChosenOrdersGuard();
  ChosenOrdersGuard(const ChosenOrdersGuard&) = delete;
  ChosenOrdersGuard& operator=(const ChosenOrdersGuard&) = delete;

  /// What a mixer that is being made scans along; nothing: its own orders.
  static std::optional<NamedOrders> take();
  /// UsageError where orders were chosen, and nothing was made that takes them.
  void require_taken() const;

 private:
  std::optional<NamedOrders> orders_;
  bool taken_ = false;
  ChosenOrdersGuard* before_;
};

}  // namespace mambaseg
