#include "mambaseg/nets/blocks/ss3d.h"

#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/ssm_init.h"
#include "mambaseg/scan/axis_walk.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {
namespace {

namespace nn = torch::nn;

constexpr int64_t kVanillaWalks =
    4;  // walks whose outputs the vanilla mixer uses, of the 8 it has weights for

int64_t direction_count(const std::string& variant) {
  if (variant == "v6") return 6;
  if (variant == "v5" || variant == "vanilla") return 8;
  throw UsageError("mixer: expected v5, v6 or vanilla, got " + variant);
}

std::vector<ScanOrder> orders(const Ss3dSettings& settings, const TokenGrid& grid) {
  if (settings.variant == "v6") return rotated_raster_orders(grid, static_cast<int>(settings.orientation));
  if (settings.variant == "v5")
    return snake_orders(grid, static_cast<int>(settings.orientation), base_curve(settings.walk));
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

/// For each direction k: low (B, L, K, R) times weight[k]^T (K, C, R) -> (B, L, K, C).
torch::Tensor per_direction(const torch::Tensor& low, const torch::Tensor& weight) {
  if (torch::GradMode::is_enabled()) return torch::einsum("blkr,kcr->blkc", {low, weight});
  // Written in place: the einsum would hold this largest tensor of the block twice.
  const auto sizes = low.sizes();
  torch::Tensor out = torch::empty({sizes[0] * sizes[1], sizes[2], weight.size(1)}, low.options());
  const torch::Tensor rows = low.reshape({sizes[0] * sizes[1], sizes[2], sizes[3]});
  for (int64_t k = 0; k < sizes[2]; ++k) {
    torch::Tensor slice = out.select(1, k);
    torch::mm_out(slice, rows.select(1, k), weight.select(0, k).t());
  }
  return out.view({sizes[0], sizes[1], sizes[2], weight.size(1)});
}

}  // namespace

SS3D::SS3D(const Ss3dSettings& settings)
    : settings_(settings),
      channels_(static_cast<int64_t>(settings.expand * static_cast<double>(settings.width))),
      rank_(settings.dt_rank > 0 ? settings.dt_rank : (settings.width + 15) / 16),
      directions_(direction_count(settings.variant)) {
  require(settings.conv_kernel % 2 == 1, "mixer: expected an odd convolution kernel, got ",
          settings.conv_kernel);
  const int64_t C = channels_, K = directions_, N = settings.states;
  const int64_t gate = settings.variant == "vanilla" ? 2 : 1;
  in_proj_ =
      register_module("in_proj", nn::Linear(nn::LinearOptions(settings.width, gate * C).bias(settings.bias)));
  conv3d_ = register_module("conv3d", nn::Conv3d(nn::Conv3dOptions(C, C, settings.conv_kernel)
                                                     .padding(settings.conv_kernel / 2)
                                                     .groups(C)
                                                     .bias(settings.conv_bias)));
  const double bound = 1 / std::sqrt(static_cast<double>(C));
  x_proj_weight_ =
      register_parameter("x_proj_weight", torch::empty({K, rank_ + 2 * N, C}).uniform_(-bound, bound));
  dt_projs_weight_ = register_parameter("dt_projs_weight", ssm_init::dt_weight({K, C, rank_}, rank_));
  dt_projs_bias_ = register_parameter("dt_projs_bias", ssm_init::dt_bias({K, C}));
  A_logs_ = register_parameter("A_logs", ssm_init::A_log(K * C, N));
  Ds_ = register_parameter("Ds", torch::ones({K * C}));
  out_norm_ = register_module("out_norm", nn::LayerNorm(nn::LayerNormOptions({C})));
  out_proj_ =
      register_module("out_proj", nn::Linear(nn::LinearOptions(C, settings.width).bias(settings.bias)));
  dropout_ = register_module("dropout", nn::Dropout(settings.dropout));
}

SS3D::Walks SS3D::make_walks(const TokenGrid& grid, torch::Device device) const {
  const std::vector<ScanOrder> walked = orders(settings_, grid);
  Walks walks{grid, device, make_scan_tables(walked, device), {}};
  if (settings_.variant == "vanilla") {
    const std::vector<ScanOrder> destinations = vanilla_destinations(grid);
    for (size_t k = 0; k < walked.size(); ++k)
      walks.misplaced.push_back(
          to_index(walked[k], device).index_select(0, to_index(inverse(destinations[k]), device)));
  }
  return walks;
}

std::shared_ptr<const SS3D::Walks> SS3D::walks_for(const TokenGrid& grid, torch::Device device) {
  const std::lock_guard<std::mutex> lock(walks_mutex_);
  if (!walks_ || walks_->grid != grid || walks_->device != device)
    walks_ = std::make_shared<const Walks>(make_walks(grid, device));
  return walks_;
}

SelectiveScanInputs SS3D::project(const torch::Tensor& tokens, int64_t directions) const {
  const int64_t N = settings_.states, C = channels_;
  const auto of_used = [&](const torch::Tensor& t) { return t.slice(0, 0, directions); };
  const auto single = [](const torch::Tensor& t) {
    return t.scalar_type() == torch::kDouble ? t : t.to(torch::kFloat);
  };
  // All directions read the tokens in raster order, so one matrix product serves them all.
  const torch::Tensor low = torch::matmul(tokens, of_used(x_proj_weight_).flatten(0, 1).t())
                                .view({tokens.size(0), tokens.size(1), directions, rank_ + 2 * N});
  SelectiveScanInputs inputs;
  inputs.u = single(tokens);
  inputs.delta = single(per_direction(low.narrow(3, 0, rank_), of_used(dt_projs_weight_)));
  inputs.B = single(low.narrow(3, rank_, N)).unsqueeze(3);
  inputs.C = single(low.narrow(3, rank_ + N, N)).unsqueeze(3);
  inputs.A = of_used(-torch::exp(single(A_logs_)).view({directions_, C, N}));
  inputs.D = of_used(single(Ds_).view({directions_, C}));
  inputs.delta_bias = of_used(single(dt_projs_bias_));
  return inputs;
}

torch::Tensor SS3D::scan(const torch::Tensor& tokens, const Walks& walks) const {
  if (settings_.variant != "vanilla") return selective_scan(project(tokens, directions_), &walks.tables);
  // The vanilla mixer has weights for eight directions, but adds the first four outputs and the same four
  // mirrored.
  const SelectiveScanInputs all = project(tokens, kVanillaWalks);
  torch::Tensor sum;
  for (int64_t k = 0; k < kVanillaWalks; ++k) {
    SelectiveScanInputs one = all;
    for (torch::Tensor* t : {&one.delta, &one.B, &one.C}) *t = t->narrow(2, k, 1);
    for (torch::Tensor* t : {&one.A, &one.D, &one.delta_bias}) *t = t->narrow(0, k, 1);
    const size_t walk = static_cast<size_t>(k);
    const ScanTables table{walks.tables.index_TL, {walks.tables.table[walk]}, {walks.tables.backwards[walk]}};
    const torch::Tensor y = selective_scan(one, &table).index_select(1, walks.misplaced[walk]);
    const torch::Tensor both = y + y.flip(1);
    sum = sum.defined() ? sum + both : both;
  }
  return sum;
}

torch::Tensor SS3D::forward(const torch::Tensor& x) {
  const TokenGrid grid{x.size(1), x.size(2), x.size(3)};
  torch::Tensor projected = in_proj_->forward(x), gate;
  if (settings_.variant == "vanilla") {
    gate = projected.narrow(4, channels_, channels_);
    projected = projected.narrow(4, 0, channels_);
  }
  const torch::Tensor convolved =
      torch::silu(conv3d_->forward(projected.permute({0, 4, 1, 2, 3}).contiguous()));
  const torch::Tensor tokens = convolved.flatten(2).transpose(1, 2).contiguous();
  torch::Tensor y = scan(tokens, *walks_for(grid, x.device())).to(x.scalar_type());
  y = out_norm_->forward(y).view({x.size(0), grid[0], grid[1], grid[2], channels_});
  if (gate.defined()) y = y * torch::silu(gate);
  return dropout_->forward(out_proj_->forward(y));
}

void SS3D::check_walk_table(const torch::Tensor& table, bool inverted) const {
  const int64_t length = table.numel();
  const int64_t edge = std::llround(std::cbrt(static_cast<double>(length)));
  require(edge > 0 && edge * edge * edge == length, "the walk table has ", length,
          " entries, which is no cube");
  const ScanOrder walk = snake_orders({edge, edge, edge}, 0, base_curve(settings_.walk)).front();
  const torch::Tensor ours = to_index(inverted ? inverse(walk) : walk, torch::kCPU);
  require(torch::equal(table.to(torch::kCPU, torch::kLong).flatten(), ours),
          "the walk table differs from the ", settings_.walk, " of a cube of edge ", edge,
          " (other order of tokens, so other results)");
}

}  // namespace mambaseg
