#include "mambaseg/nets/blocks/local_global_scan.h"

#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/official_blocks.h"
#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/layers/resampling.h"
#include "mambaseg/ops/gate.h"

namespace mambaseg {
namespace {

int64_t ceil_of(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Places of `globals` tokens spread among `locals`.
std::vector<int64_t> spread(int64_t globals, int64_t locals) {
  const int64_t step = ceil_of(locals, globals) + 1;
  const int64_t ahead = globals - locals / (step - 1);  // do not fit between locals
  std::vector<int64_t> places;
  for (int64_t p = ceil_of(std::max<int64_t>(ahead, 0), step) * step; p < locals + globals; p += step)
    places.push_back(p);
  if (static_cast<int64_t>(places.size()) > globals) places.resize(static_cast<size_t>(globals));
  const auto in_front = [&] { return globals - static_cast<int64_t>(places.size()); };
  while (!places.empty() && places.front() < in_front()) places.erase(places.begin());
  std::vector<int64_t> all;
  for (int64_t p = 0; p < in_front(); ++p) all.push_back(p);
  all.insert(all.end(), places.begin(), places.end());
  return all;
}

std::vector<int64_t> places_of(int64_t globals, int64_t locals, const std::string& place, int64_t dims) {
  if (place == "even") return spread(globals, locals);
  // How many locals stand before each part of the globals.
  std::vector<std::pair<int64_t, int64_t>> parts;
  if (place == "head")
    parts = {{0, globals}};
  else if (place == "center")
    parts = {{locals / 2, globals}};
  else if (place == "split" && dims == 3)
    parts = {{0, globals / 2}, {locals / 2, globals - globals / 2}};
  else if (place == "split")
    parts = {{0, globals / 4}, {locals / 2, globals - 2 * (globals / 4)}, {locals, globals / 4}};
  else
    throw UsageError(concat("place: expected head, center, split or even, got ", place));
  std::vector<int64_t> places;
  for (const auto& [before, count] : parts)
    for (int64_t i = 0; i < count; ++i) places.push_back(before + static_cast<int64_t>(places.size()));
  return places;
}

/// The convolution that looks at the grid.
std::shared_ptr<Convolution> looking(const LocalGlobalSettings& s, int64_t channels) {
  const int64_t count = channels / s.squeeze;
  if (count < 1 || channels % count != 0)
    throw UsageError(concat("squeeze: ", channels, " channels do not divide by ", s.squeeze));
  int64_t edge = s.stride + 1, dilation = 1, padding = s.stride / 2;
  if (s.dims == 3) {
    edge = s.stride == 1 ? 1 : s.stride < 8 ? 3 : 5;
    dilation = s.stride < 4 ? 1 : 2;
    padding = s.stride == 1 ? 0 : s.stride == 2 ? 1 : s.stride == 4 ? 2 : 3;
  }
  return conv(s.dims, channels, count, edge,
              {.stride = cube(s.dims, s.stride),
               .padding = cube(s.dims, padding),
               .dilation = cube(s.dims, dilation),
               .groups = count});
}

}  // namespace

ScanOrder local_global_order(int64_t globals, int64_t locals, const std::string& place, int64_t dims) {
  ScanOrder order(static_cast<size_t>(globals + locals), -1);
  int32_t global = 0;
  for (const int64_t p : places_of(globals, locals, place, dims)) order[static_cast<size_t>(p)] = global++;
  auto local = static_cast<int32_t>(globals);
  for (int32_t& token : order)
    if (token < 0) token = local++;
  return order;
}

LocalGlobalScan::LocalGlobalScan(const LocalGlobalSettings& s)
    : settings_(s),
      inner_(static_cast<int64_t>(s.expand * static_cast<double>(s.width))),
      chosen_(chosen_orders(s.dims)) {
  const int64_t maps = s.local ? inner_ / s.local_squeeze() : inner_;
  if (s.local && (maps == 0 || inner_ % s.local_squeeze() != 0))
    throw UsageError(concat("widths: local tokens need ", s.local_squeeze(),
                            " channels inside for each map, got ", inner_));
  const int64_t w = s.local ? maps * s.neighbours() : inner_;
  const int64_t rank = ceil_of(s.local ? s.width / s.local_squeeze() * s.neighbours() : s.width, 16);
  if (s.local && s.dims == 2 && !s.global) inner_ = maps;  // SS2DConv squeezes before its convolution
  const std::string conv_name = s.dims == 3 ? "conv3d" : "conv2d";
  in_proj_ = register_module("in_proj", std::make_shared<Linear>(s.width, 2 * inner_, false));
  conv_ = register_module(conv_name, conv(s.dims, inner_, maps, 3, {.groups = maps}));
  if (s.global) {
    depth_conv_ = register_module("depth_conv", looking(s, w));
    int64_t positions = 1;
    for (const int64_t edge : s.positions) positions *= edge;
    depth_fc_ = register_module("depth_fc", std::make_shared<Linear>(positions, w));
  }
  if (s.local) fold_ = register_module("fold", std::make_shared<Linear>(w, inner_, false));
  out_norm_ = register_module("out_norm", std::make_shared<LayerNorm>(inner_));
  out_proj_ = register_module("out_proj", std::make_shared<Linear>(inner_, s.width, false));
  twin_ = scan_twin(*this, "twin", {s.dims, w, rank, s.states});
  if (!twin_) scan_ = {*this, w, rank, s.states, 1};
}

bool LocalGlobalScan::check_computed(const std::string& name, const torch::Tensor& value) const {
  if (name != "unfold.weight" || !settings_.local) return false;
  const torch::Tensor identity =
      torch::eye(settings_.neighbours(), value.options()).view({settings_.neighbours(), -1});
  require(value.flatten(1).sizes() == identity.sizes() && torch::equal(value.flatten(1), identity),
          "is not the identity");
  return true;
}

torch::Tensor LocalGlobalScan::with_neighbours(const torch::Tensor& tokens) const {
  const int64_t dims = settings_.dims;
  std::vector<int64_t> pad{0, 0};
  pad.resize(static_cast<size_t>(2 + 2 * dims), 1);
  const torch::Tensor padded = torch::constant_pad_nd(tokens, pad);
  std::vector<torch::Tensor> shifted;
  for (int64_t offset = 0; offset < settings_.neighbours(); ++offset) {
    torch::Tensor y = padded;
    for (int64_t axis = dims, rest = offset; axis > 0; --axis, rest /= 3)
      y = y.narrow(axis, rest % 3, tokens.size(axis));
    shifted.push_back(y);
  }
  return torch::stack(shifted, -1).flatten(-2);
}

torch::Tensor LocalGlobalScan::global_tokens(const torch::Tensor& tokens) const {
  torch::Tensor maps = depth_conv_->forward(tokens.movedim(-1, 1));
  const int64_t positions = depth_fc_->weight.size(1);
  if (maps.flatten(2).size(2) != positions) {
    require(static_cast<int64_t>(settings_.positions.size()) == settings_.dims,
            "global tokens: expected a grid of ", positions, " positions, got ", maps.flatten(2).size(2));
    maps = linear_resized(maps, settings_.positions);
  }
  return depth_fc_->run(maps.flatten(2).contiguous(), {Activation::silu, {}});
}

torch::Tensor LocalGlobalScan::scanned(const torch::Tensor& tokens, const torch::Tensor& globals) {
  torch::Tensor read = tokens.flatten(1, -2);
  if (twin_) {  // convolutions see the grid alone; what the global tokens say reaches all
    const torch::Tensor all = globals.defined() ? read + globals.mean({1}, true) : read;
    return twin_->forward(all.view(tokens.sizes()));
  }
  const int64_t locals = read.size(1), count = globals.defined() ? globals.size(1) : 0;
  if (count > 0) read = torch::cat({globals, read}, 1);
  const SelectiveScanInputs inputs = project_scan_inputs(read, scan_.weights());
  if (count == 0 && !chosen_) return selective_scan(inputs).view(tokens.sizes());
  const TokenGrid grid = grid_of(tokens);
  const auto walk = orders_.get(grid, read.device(), [&] {
    return make_scan_tables(std::vector<ScanOrder>{order(grid, count)}, read.device());
  });
  return selective_scan(inputs, walk.get()).narrow(1, count, locals).view(tokens.sizes());
}

ScanOrder LocalGlobalScan::order(TokenGrid grid, int64_t globals) const {
  const ScanOrder locals = chosen_ ? chosen_->over(grid).front() : raster_order(token_count(grid));
  if (globals == 0) return locals;
  ScanOrder all =
      local_global_order(globals, static_cast<int64_t>(locals.size()), settings_.place, settings_.dims);
  for (int32_t& token : all)
    if (token >= globals)
      token = static_cast<int32_t>(globals + locals[static_cast<size_t>(token - globals)]);
  return all;
}

torch::Tensor LocalGlobalScan::forward(const torch::Tensor& x) {
  const torch::Tensor projected = in_proj_->forward(x);
  const std::vector<torch::Tensor> halves = projected.chunk(2, -1);
  torch::Tensor tokens = conv_->run(halves[0].movedim(-1, 1), {Activation::silu, {}}).movedim(1, -1);
  if (settings_.local) tokens = with_neighbours(tokens);
  tokens = tokens.contiguous();
  torch::Tensor y = scanned(tokens, settings_.global ? global_tokens(tokens) : torch::Tensor());
  y = y.to(projected.scalar_type());
  if (fold_) y = fold_->forward(y);
  return out_proj_->forward(gated(out_norm_->forward(y), halves[1], Activation::silu));
}

LocalGlobalBlock::LocalGlobalBlock(const LocalGlobalSettings& mixer, const char* norm_name, double norm_eps,
                                   double drop_path)
    : norm_(register_module(norm_name, std::make_shared<LayerNorm>(mixer.width, norm_eps))),
      mixer_(register_module("self_attention", std::make_shared<LocalGlobalScan>(mixer))),
      path_(register_module("drop_path", std::make_shared<DropPath>(drop_path))) {}

torch::Tensor LocalGlobalBlock::forward(const torch::Tensor& x) {
  return x + path_->forward(mixer_->forward(norm_->forward(x)));
}

namespace {

LocalGlobalSettings of_arguments(const Json& a, const char* width, int64_t dims, bool local, bool global) {
  LocalGlobalSettings s{.dims = dims, .width = a.at(width), .local = local, .global = global};
  s.states = argument<int64_t>(a, "d_state", 16);
  s.expand = argument(a, "expand", 2.0);
  s.squeeze = argument<int64_t>(a, "d_depth_squeeze", 1);
  s.place = argument<std::string>(a, "mode", "even");
  if (!global) return s;
  const Json& stride = a.at("d_depth_stride");
  s.stride = stride.is_array() ? stride.at(0).get<int64_t>() : stride.get<int64_t>();
  s.positions = {a.at("d_depth_out").get<int64_t>()};
  return s;
}

template <bool Local, bool Global>
std::shared_ptr<torch::nn::Module> official_mixer(const Json& a) {
  return std::make_shared<LocalGlobalScan>(of_arguments(a, "d_model", 3, Local, Global));
}

std::shared_ptr<torch::nn::Module> official_plane_block(const Json& a) {
  const bool local = argument(a, "use_conv", false), global = argument(a, "use_depth", false);
  if (!local && !global)
    return std::make_shared<VssBlock2d>(
        Ss2dSettings{.width = a.at("hidden_dim"), .states = argument<int64_t>(a, "d_state", 16)}, 0, 1e-6);
  return std::make_shared<LocalGlobalBlock>(of_arguments(a, "hidden_dim", 2, local, global), "ln_1", 1e-6,
                                            0.0);
}

}  // namespace

std::vector<OfficialBlock> official_local_global_scan() {
  constexpr const char* kRepository = "Oulu-IMEDS/LoG-VMamba";
  return {{kRepository, {"SS3Depth"}, official_mixer<false, true>},
          {kRepository, {"SS3DConv"}, official_mixer<true, false>},
          {kRepository, {"SS3DepthConv"}, official_mixer<true, true>},
          {kRepository, {"VSSBlock"}, official_plane_block}};
}

}  // namespace mambaseg
