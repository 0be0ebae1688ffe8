#include <gtest/gtest.h>

#include "mambaseg/ops/selective_scan.h"

namespace mambaseg {
namespace {

TEST(ScanTables, ShareTheTableOfAWalkAndItsReversal) {
  const std::vector<ScanOrder> orders = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {0, 1, 2}};
  const ScanTables tables = make_scan_tables(orders);
  EXPECT_EQ(tables.table, (std::vector<int>{0, 0, 1, 0}));
  EXPECT_EQ(tables.backwards, (std::vector<uint8_t>{0, 1, 0, 0}));
  EXPECT_TRUE(tables.index_TL.equal(torch::tensor({{0, 1, 2}, {1, 0, 2}}, torch::kInt32)));
  EXPECT_EQ(tables.directions(), 4);
}

TEST(ScanTables, RefuseNoOrdersAndUnequalLengths) {
  EXPECT_THROW(make_scan_tables({}), c10::Error);
  const std::vector<ScanOrder> orders = {{0, 1, 2}, {1, 0}};
  EXPECT_THROW(make_scan_tables(orders), c10::Error);
}

}  // namespace
}  // namespace mambaseg
