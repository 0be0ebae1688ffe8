#include "mambaseg/nets/blocks/chosen_walks.h"

#include "mambaseg/core/error.h"
#include "mambaseg/nets/layers/chosen_orders.h"

namespace mambaseg {

TokenGrid grid_of(const torch::Tensor& tokens) {
  TokenGrid grid{1, 1, 1};
  const int64_t axes = tokens.dim() - 2;
  require(axes >= 1 && axes <= 3, "mixer: expected tokens on 1 to 3 axes, got ", axes);
  for (int64_t i = 0; i < axes; ++i) grid[static_cast<size_t>(3 - axes + i)] = tokens.size(1 + i);
  return grid;
}

std::optional<NamedOrders> chosen_orders(int64_t dims) {
  const std::optional<NamedOrders> orders = ChosenOrdersGuard::take();
  if (orders && orders->family->planar && dims == 3)
    throw UsageError(
        concat("orders: expected walks over volumes, got ", orders->family->name, ", which are planar"));
  return orders;
}

RowWalk::RowWalk(int64_t dims) {
  if (dims > 1) orders_ = chosen_orders(dims);
}

std::shared_ptr<const ScanTables> RowWalk::over(const torch::Tensor& tokens, bool backwards) {
  if (!orders_ && !backwards) return nullptr;
  if (!orders_) {
    const int64_t length = tokens.numel() / tokens.size(0) / tokens.size(-1);
    const auto raster = torch::arange(length, torch::dtype(torch::kInt32).device(tokens.device()));
    return std::make_shared<ScanTables>(ScanTables{raster.unsqueeze(0), {0}, {1}});
  }
  const TokenGrid grid = grid_of(tokens);
  const auto walk = walks_.get(grid, tokens.device(), [&] {
    return make_scan_tables(std::vector<ScanOrder>{orders_->over(grid).front()}, tokens.device());
  });
  return backwards ? std::make_shared<ScanTables>(ScanTables{walk->index_TL, {0}, {1}}) : walk;
}

}  // namespace mambaseg
