// The walks of MedSegMamba's mixers.

#include <array>

#include "mambaseg/nets/model/network.h"
#include "mambaseg/scan/orders.h"
#include "tests/golden_check/golden_case.h"

namespace mambaseg {
namespace {

GoldenResult check_orders(const GoldenCase& g) {
  const int64_t edge = g.args.at("size");
  const auto table = [&](int orientations, auto orders) {
    std::vector<torch::Tensor> rows;
    for (int o = 0; o < orientations; ++o)
      for (const ScanOrder& order : orders(TokenGrid{edge, edge, edge}, o))
        rows.push_back(torch::tensor(order));
    return torch::stack(rows).view({orientations, -1, edge * edge * edge});
  };
  GoldenComparison comparison(g);
  const BaseCurve curve = base_curve(argument<std::string>(g.args, "scan_type", "scan"));
  comparison.output("order",
                    table(6, [&](const TokenGrid& grid, int o) { return snake_orders(grid, o, curve); }));
  if (g.has("output.order_v6")) comparison.output("order_v6", table(8, rotated_raster_orders));
  return comparison.result();
}

constexpr std::array kChecks{GoldenCheck{"HSCANS + SS3D_v5.forward_core (gather order)", check_orders}};

}  // namespace

std::span<const GoldenCheck> walk_checks() { return kChecks; }

}  // namespace mambaseg
