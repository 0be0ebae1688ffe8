#include "mambaseg/nets/layers/chosen_orders.h"

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

thread_local ChosenOrdersGuard* innermost = nullptr;

}  // namespace

ChosenOrdersGuard::ChosenOrdersGuard(const std::string& name) : before_(innermost) {
  if (!name.empty()) orders_ = named_orders(name);
  innermost = this;
}

ChosenOrdersGuard::~ChosenOrdersGuard() { innermost = before_; }

std::optional<NamedOrders> ChosenOrdersGuard::take() {
  if (innermost == nullptr) return std::nullopt;
  innermost->taken_ = true;
  return innermost->orders_;
}

void ChosenOrdersGuard::require_taken() const {
  if (orders_ && !taken_)
    throw UsageError(concat("orders: expected a network with scans that read a grid, got ",
                            orders_->family->name, " for one without"));
}

}  // namespace mambaseg
