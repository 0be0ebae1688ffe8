#include "mambaseg/nets/blocks/ss3d.h"

#include "mambaseg/core/error.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/ops/gate.h"
#include "mambaseg/scan/axis_walk.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {
namespace {

constexpr int64_t kVanillaWalks =
    4;  // walks whose outputs the vanilla mixer uses, of the 8 it has weights for

int64_t direction_count(const std::string& variant) {
  if (variant == "v6" || variant == "cyclic") return 6;
  if (variant == "v5" || variant == "vanilla") return 8;
  throw UsageError("mixer: expected v5, v6, vanilla or cyclic, got " + variant);
}

std::vector<ScanOrder> orders(const Ss3dSettings& settings, const TokenGrid& grid) {
  if (settings.variant == "v6") return rotated_raster_orders(grid, static_cast<int>(settings.orientation));
  if (settings.variant == "v5")
    return snake_orders(grid, static_cast<int>(settings.orientation), base_curve(settings.walk));
  if (settings.variant == "cyclic") return cyclic_raster_orders(grid);
  std::vector<ScanOrder> all = axis_raster_orders(grid);
  all.resize(kVanillaWalks);
  return all;
}

/// Where the vanilla mixer puts what it computed: it reads the third and fourth walk back as if they had the
/// axis order of the second, which moves tokens unless the grid is a cube. Published code, so copied.
std::vector<ScanOrder> vanilla_destinations(const TokenGrid& grid) {
  constexpr WalkAxis first{0, false}, second{1, false}, third{2, false};
  const auto [h, w, d] = grid;
  return {axis_walk({h, w, d}, {first, second, third}, BaseCurve::sweep),
          axis_walk({h, w, d}, {second, first, third}, BaseCurve::sweep),
          axis_walk({d, h, w}, {third, second, first}, BaseCurve::sweep),
          axis_walk({w, d, h}, {first, third, second}, BaseCurve::sweep)};
}

torch::Tensor to_index(const ScanOrder& order, torch::Device device) {
  return torch::tensor(std::vector<int64_t>(order.begin(), order.end())).to(device);
}

}  // namespace

SS3D::SS3D(const Ss3dSettings& settings)
    : settings_(settings),
      chosen_(chosen_orders(3)),
      channels_(static_cast<int64_t>(settings.expand * static_cast<double>(settings.width))),
      rank_(settings.dt_rank > 0 ? settings.dt_rank : (settings.width + 15) / 16),
      directions_(chosen_ ? chosen_->walks() : direction_count(settings.variant)),
      gated_(settings.variant == "vanilla" || settings.variant == "cyclic") {
  require(settings.conv_kernel % 2 == 1, "mixer: expected an odd convolution kernel, got ",
          settings.conv_kernel);
  const int64_t C = channels_, K = directions_, N = settings.states;
  in_proj_ =
      register_module("in_proj", std::make_shared<Linear>(settings.width, gated_ ? 2 * C : C, settings.bias));
  conv3d_ = register_module("conv3d", depthwise(3, C, settings.conv_kernel, {.bias = settings.conv_bias}));
  twin_ = scan_twin(*this, "twin", {3, C, rank_, N, K});
  if (!twin_) scan_ = {*this, C, rank_, N, K};
  out_norm_ = register_module("out_norm", std::make_shared<LayerNorm>(C));
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(C, settings.width, settings.bias));
  dropout_ = register_module("dropout", std::make_shared<Dropout>(settings.dropout));
}

SS3D::Walks SS3D::make_walks(const TokenGrid& grid, torch::Device device) const {
  const std::vector<ScanOrder> walked = chosen_ ? chosen_->over(grid) : orders(settings_, grid);
  Walks walks{make_scan_tables(walked, device), {}};
  if (settings_.variant == "vanilla" && !chosen_) {
    const std::vector<ScanOrder> destinations = vanilla_destinations(grid);
    for (size_t k = 0; k < walked.size(); ++k)
      walks.misplaced.push_back(
          to_index(walked[k], device).index_select(0, to_index(inverse(destinations[k]), device)));
  }
  if (settings_.variant == "cyclic" && !chosen_) walks.misplaced.push_back(to_index(walked[2], device));
  return walks;
}

torch::Tensor SS3D::scan(const torch::Tensor& tokens, const Walks& walks) const {
  if (settings_.variant == "vanilla" && !chosen_) return vanilla_scan(tokens, walks);
  if (settings_.variant == "cyclic" && !chosen_) return cyclic_scan(tokens, walks);
  return selective_scan(project_scan_inputs(tokens, scan_.weights()), &walks.tables);
}

torch::Tensor SS3D::vanilla_scan(const torch::Tensor& tokens, const Walks& walks) const {
  // The vanilla mixer has weights for eight directions, but adds the first four outputs and the same four
  // mirrored.
  const SelectiveScanInputs all = project_scan_inputs(tokens, scan_.weights().first(kVanillaWalks));
  torch::Tensor sum;
  for (int64_t k = 0; k < kVanillaWalks; ++k) {
    SelectiveScanInputs one = all;
    for (torch::Tensor* t : {&one.delta, &one.B, &one.C}) *t = t->narrow(2, k, 1);
    for (torch::Tensor* t : {&one.A, &one.D, &one.delta_bias}) *t = t->narrow(0, k, 1);
    const ScanTables walk = walks.tables.only(k);
    const torch::Tensor y =
        selective_scan(one, &walk).index_select(1, walks.misplaced[static_cast<size_t>(k)]);
    const torch::Tensor both = y + y.flip(1);
    sum = sum.defined() ? sum + both : both;
  }
  return sum;
}

// The original means to read the third walk's outputs but reads the second's again, as if they lay in the
// third order, and leaves the third's out. Published code, so copied.
torch::Tensor SS3D::cyclic_scan(const torch::Tensor& tokens, const Walks& walks) const {
  const SelectiveScanInputs all = project_scan_inputs(tokens, scan_.weights());
  const auto there_and_back = [&](int64_t k) {
    SelectiveScanInputs two = all;
    for (torch::Tensor* t : {&two.delta, &two.B, &two.C}) *t = t->slice(2, k, c10::nullopt, 3);
    for (torch::Tensor* t : {&two.A, &two.D, &two.delta_bias}) *t = t->slice(0, k, c10::nullopt, 3);
    const ScanTables forth = walks.tables.only(k), back = walks.tables.only(k + 3);
    const ScanTables both{
        forth.index_TL, {forth.table[0], back.table[0]}, {forth.backwards[0], back.backwards[0]}};
    return selective_scan(two, &both);
  };
  const torch::Tensor second = there_and_back(1);
  return there_and_back(0) + second + second.index_select(1, walks.misplaced[0]);
}

torch::Tensor SS3D::forward(const torch::Tensor& x) {
  const TokenGrid grid{x.size(1), x.size(2), x.size(3)};
  torch::Tensor projected = in_proj_->forward(x), gate;
  if (gated_) {
    const std::vector<torch::Tensor> halves = projected.chunk(2, 4);
    projected = halves[0];
    gate = halves[1];
  }
  const int64_t border = settings_.conv_kernel / 2;
  const torch::Tensor u = depthwise_conv(projected, conv3d_->weight, conv3d_->bias,
                                         {{border, border, border}, false, true, {}, Activation::silu});
  torch::Tensor y;
  if (twin_) {
    y = twin_->forward(u);
  } else {
    const auto walks = walks_.get(grid, x.device(), [&] { return make_walks(grid, x.device()); });
    y = scan(u.flatten(1, 3), *walks).to(x.scalar_type());
  }
  y = out_norm_->forward(y).view({x.size(0), grid[0], grid[1], grid[2], channels_});
  if (gate.defined()) y = gated(y, gate, Activation::silu);
  return dropout_->forward(out_proj_->forward(y));
}

bool SS3D::check_computed(const std::string& name, const torch::Tensor& table) const {
  const bool inverted = name == "scans.index_flat_inv";
  if (settings_.variant != "v5" || chosen_ || (!inverted && name != "scans.index_flat")) return false;
  const int64_t length = table.numel();
  const int64_t edge = std::llround(std::cbrt(static_cast<double>(length)));
  require(edge > 0 && edge * edge * edge == length, "the walk table has ", length,
          " entries, which is no cube");
  const ScanOrder walk = snake_orders({edge, edge, edge}, 0, base_curve(settings_.walk)).front();
  const torch::Tensor ours = to_index(inverted ? inverse(walk) : walk, torch::kCPU);
  require(torch::equal(table.to(torch::kCPU, torch::kLong).flatten(), ours),
          "the walk table differs from the ", settings_.walk, " of a cube of edge ", edge,
          " (other order of tokens, so other results)");
  return true;
}

}  // namespace mambaseg
