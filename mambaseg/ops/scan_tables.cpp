#include <algorithm>

#include "mambaseg/ops/selective_scan.h"

namespace mambaseg {

torch::Tensor ScanTables::order_L(int64_t k) const {
  const torch::Tensor row = index_TL[table[k]];
  return backwards[k] ? row.flip(0) : row;
}

ScanTables make_scan_tables(std::span<const ScanOrder> orders, torch::Device device) {
  TORCH_CHECK(!orders.empty(), "make_scan_tables: expected at least one order, got none");
  const size_t length = orders.front().size();
  ScanTables tables;
  std::vector<const ScanOrder*> rows;
  for (const ScanOrder& order : orders) {
    TORCH_CHECK(order.size() == length, "make_scan_tables: expected orders of ", length,
                " tokens, got one of ", order.size());
    const auto same =
        std::find_if(rows.begin(), rows.end(), [&](const ScanOrder* row) { return *row == order; });
    const auto mirrored = std::find_if(rows.begin(), rows.end(), [&](const ScanOrder* row) {
      return std::equal(row->begin(), row->end(), order.rbegin());
    });
    const bool backwards = same == rows.end() && mirrored != rows.end();
    const auto found = backwards ? mirrored : same;
    tables.table.push_back(static_cast<int>(found - rows.begin()));
    tables.backwards.push_back(backwards);
    if (found == rows.end()) rows.push_back(&order);
  }
  tables.index_TL =
      torch::empty({static_cast<int64_t>(rows.size()), static_cast<int64_t>(length)}, torch::kInt32);
  for (size_t row = 0; row < rows.size(); ++row) {
    std::copy(rows[row]->begin(), rows[row]->end(), tables.index_TL.data_ptr<int32_t>() + row * length);
  }
  tables.index_TL = tables.index_TL.to(device);
  return tables;
}

}  // namespace mambaseg
