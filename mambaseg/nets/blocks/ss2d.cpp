#include "mambaseg/nets/blocks/ss2d.h"

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/ops/depthwise_conv.h"
#include "mambaseg/ops/gate.h"
#include "mambaseg/scan/orders.h"

namespace mambaseg {
namespace {

/// How many walks with weights of their own there are.
int64_t weight_sets(const Ss2dSettings& s) {
  if (s.walks == "cross" || s.walks == "mirrored" || s.walks == "atrous_cross")
    return 4 * (s.walks == "atrous_cross" ? s.step * s.step : 1);
  if (s.walks == "atrous") return s.step * s.step;
  if (s.walks == "raster") return 1;
  throw UsageError("walks: expected cross, mirrored, raster, atrous or atrous_cross, got " + s.walks);
}

/// Each position (B, y, x, C) four times: the nearest of (B, Y, X, C), Y of 2y - 1 or 2y.
torch::Tensor grown(const torch::Tensor& x, int64_t Y, int64_t X) {
  const int64_t B = x.size(0), y = x.size(1), w = x.size(2), C = x.size(3);
  return x.view({B, y, 1, w, 1, C})
      .expand({B, y, 2, w, 2, C})
      .reshape({B, 2 * y, 2 * w, C})
      .slice(1, 0, Y)
      .slice(2, 0, X);
}

}  // namespace

SS2D::SS2D(const Ss2dSettings& settings)
    : settings_(settings),
      channels_(static_cast<int64_t>(settings.expand * static_cast<double>(settings.width))),
      rank_(settings.dt_rank > 0 ? settings.dt_rank : (settings.width + 15) / 16),
      chosen_(chosen_orders(2)),
      atrous_(!chosen_ && settings.walks.starts_with("atrous")) {
  require(settings.conv_kernel % 2 == 1, "mixer: expected an odd convolution kernel, got ",
          settings.conv_kernel);
  const int64_t C = channels_, K = chosen_ ? chosen_->walks() : weight_sets(settings), N = settings.states;
  in_proj_ = register_module("in_proj", std::make_shared<Linear>(settings.width, 2 * C, settings.bias));
  conv2d_ = register_module("conv2d", depthwise(2, C, settings.conv_kernel, {.bias = settings.conv_bias}));
  twin_ = scan_twin(*this, "twin", {2, C, rank_, N, K});
  if (!twin_) scan_ = {*this, C, rank_, N, K};
  out_norm_ = register_module("out_norm", std::make_shared<LayerNorm>(C));
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(C, settings.width, settings.bias));
  dropout_ = register_module("dropout", std::make_shared<Dropout>(settings.dropout));
}

std::vector<ScanOrder> SS2D::orders(TokenGrid grid) const {
  if (chosen_) return chosen_->over(grid);
  if (settings_.walks == "cross") return cross_orders(grid);
  if (settings_.walks == "mirrored") return mirrored_row_orders(grid);
  if (!atrous_) return {raster_order(token_count(grid))};
  const ScanOrder order = atrous_order(grid, settings_.step);
  return {order, inverse(order)};  // there and back
}

torch::Tensor SS2D::scanned(const torch::Tensor& u) {
  if (twin_) return twin_->forward(u);
  if (atrous_) {
    torch::Tensor sum = atrous_scanned(u, 0);
    if (settings_.walks == "atrous") return sum;
    const int64_t sets = settings_.step * settings_.step;
    const torch::Tensor turned = u.flip({1, 2});
    sum = sum + atrous_scanned(u.transpose(1, 2), sets).transpose(1, 2);
    const torch::Tensor both =
        atrous_scanned(turned, 2 * sets) + atrous_scanned(turned.transpose(1, 2), 3 * sets).transpose(1, 2);
    return sum + both.flip({1, 2});
  }
  const TokenGrid grid{1, u.size(1), u.size(2)};
  const auto walks = walks_.get(grid, u.device(), [&] { return make_scan_tables(orders(grid), u.device()); });
  return selective_scan(project_scan_inputs(u.flatten(1, 2), scan_.weights()), walks.get());
}

torch::Tensor SS2D::atrous_scanned(const torch::Tensor& u, int64_t first) {
  const int64_t step = settings_.step, sets = step * step, Y = u.size(1), X = u.size(2);
  // Grids that do not divide are filled up with zeros, which let the state decay, as the authors have it.
  const torch::Tensor filled =
      torch::constant_pad_nd(u, {0, 0, 0, (step - X % step) % step, 0, (step - Y % step) % step});
  const TokenGrid grid{1, filled.size(1), filled.size(2)};
  const auto tables =
      walks_.get(grid, u.device(), [&] { return make_scan_tables(orders(grid), u.device()); });
  const std::vector<torch::Tensor> parts =
      filled.flatten(1, 2).index_select(1, tables->order_L(0)).chunk(sets, 1);
  std::vector<torch::Tensor> scans;
  for (const torch::Tensor& part : parts)
    scans.push_back(selective_scan(project_scan_inputs(part, scan_.weights_of(first++))));
  return torch::cat(scans, 1)
      .index_select(1, tables->order_L(1))
      .view(filled.sizes())
      .slice(1, 0, Y)
      .slice(2, 0, X);
}

torch::Tensor SS2D::forward(const torch::Tensor& x) {
  const int64_t edge = settings_.conv_kernel;
  const std::vector<torch::Tensor> halves = in_proj_->forward(x).chunk(2, -1);
  torch::Tensor u = depthwise_conv(halves[0], conv2d_->weight, conv2d_->bias,
                                   {{edge / 2, edge / 2}, false, true, {}, Activation::silu});
  const bool quartered = quarter_from_ > 0 && u.size(1) * u.size(2) >= quarter_from_;
  if (quartered) u = u.slice(1, 0, u.size(1), 2).slice(2, 0, u.size(2), 2).contiguous();
  torch::Tensor normed = out_norm_->forward(scanned(u).to(x.scalar_type())).view(u.sizes());
  if (quartered) normed = grown(normed, x.size(1), x.size(2));
  return dropout_->forward(out_proj_->forward(gated(normed, halves[1], Activation::silu)));
}

void quarter_scans(torch::nn::Module& network, int64_t tokens) {
  int64_t mixers = 0;
  for (const auto& part : network.modules(/*include_self=*/false))
    if (auto* mixer = dynamic_cast<SS2D*>(part.get())) mixer->quarter_from(tokens), ++mixers;
  if (mixers == 0) throw UsageError("quarter map: expected a network with SS2D mixers, got one without");
}

VssBlock2d::VssBlock2d(const Ss2dSettings& mixer, double drop_path, double norm_eps)
    : ln_1_(register_module("ln_1", std::make_shared<LayerNorm>(mixer.width, norm_eps))),
      mixer_(register_module("self_attention", std::make_shared<SS2D>(mixer))),
      path_(register_module("drop_path", std::make_shared<DropPath>(drop_path))) {}

torch::Tensor VssBlock2d::compute(const torch::Tensor& x) {
  return x + path_->forward(mixer_->forward(ln_1_->forward(x)));
}

namespace {

Ss2dSettings official_mixer(const Json& a, const char* width) {
  Ss2dSettings s;
  s.width = a.at(width);
  s.states = argument<int64_t>(a, "d_state", 16);
  s.conv_kernel = argument<int64_t>(a, "d_conv", 3);
  s.expand = argument<double>(a, "expand", 2);
  if (a.contains("dt_rank") && a["dt_rank"].is_number()) s.dt_rank = a["dt_rank"];
  s.bias = argument(a, "bias", false);
  s.conv_bias = argument(a, "conv_bias", true);
  return s;
}

}  // namespace

std::vector<OfficialBlock> official_ss2d() {
  using Module = std::shared_ptr<torch::nn::Module>;
  const auto mixer = [](const Json& a) -> Module {
    return std::make_shared<SS2D>(official_mixer(a, "d_model"));
  };
  return {{"JCruan519/VM-UNet", {"SS2D"}, mixer},
          {"JiarunLiu/Swin-UMamba", {"SS2D (SwinUMamba)"}, mixer},
          {"JCruan519/VM-UNet", {"VSSBlock"}, [](const Json& a) -> Module {
             // 1e-6 is the default of the official block; the layers above pass 1e-5.
             return std::make_shared<VssBlock2d>(official_mixer(a, "hidden_dim"), 0, 1e-6);
           }}};
}

}  // namespace mambaseg
