#include "mambaseg/nets/blocks/window_attention.h"

#include <algorithm>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

/// The index of each pair of tokens of `window` in the table of a window of `whole` (Swin Transformer).
torch::Tensor relative_index(const Extent& window, const Extent& whole, torch::Device device) {
  torch::Tensor index = torch::zeros({1, 1}, torch::dtype(torch::kLong).device(device));
  for (size_t axis = 0; axis < window.size(); ++axis) {
    const torch::Tensor place = torch::arange(window[axis], index.options());
    const torch::Tensor apart = place.unsqueeze(1) - place + (whole[axis] - 1);
    // (query so far, axis, key so far, axis)
    index = (index * (2 * whole[axis] - 1)).unsqueeze(1).unsqueeze(3) + apart.unsqueeze(1).unsqueeze(0);
    index = index.flatten(2, 3).flatten(0, 1);
  }
  return index;
}

}  // namespace

torch::Tensor windows_of(const torch::Tensor& x, const Extent& window) {
  const auto axes = static_cast<int64_t>(window.size());
  Extent split{x.size(0)}, order{0}, within;
  for (int64_t axis = 0; axis < axes; ++axis) {
    const int64_t edge = window[static_cast<size_t>(axis)];
    split.insert(split.end(), {x.size(axis + 1) / edge, edge});
    order.push_back(1 + 2 * axis);
    within.push_back(2 + 2 * axis);
  }
  split.push_back(x.size(-1));
  order.insert(order.end(), within.begin(), within.end());
  order.push_back(1 + 2 * axes);
  return x.reshape(split).permute(order).flatten(axes + 1, 2 * axes).flatten(0, axes);
}

torch::Tensor grid_of(const torch::Tensor& windows, const Extent& grid, const Extent& window) {
  const auto axes = static_cast<int64_t>(window.size());
  Extent split{-1}, order{0}, merged{-1};
  for (size_t axis = 0; axis < grid.size(); ++axis) split.push_back(grid[axis] / window[axis]);
  split.insert(split.end(), window.begin(), window.end());
  split.push_back(windows.size(-1));
  for (int64_t axis = 0; axis < axes; ++axis) order.insert(order.end(), {1 + axis, 1 + axes + axis});
  order.push_back(1 + 2 * axes);
  merged.insert(merged.end(), grid.begin(), grid.end());
  merged.push_back(windows.size(-1));
  return windows.view(split).permute(order).reshape(merged);
}

WindowAttention::WindowAttention(const WindowSettings& s)
    : SelfAttention({.width = s.width, .heads = s.heads, .bias = true}), settings_(s) {
  int64_t positions = 1;
  for (const int64_t edge : s.window) positions *= 2 * edge - 1;
  table_ = register_parameter("relative_position_bias_table", 0.02 * torch::randn({positions, s.heads}));
}

torch::Tensor WindowAttention::regions(const Extent& grid, const Extent& window, const Extent& shift,
                                       torch::Device device) {
  torch::Tensor labels = torch::zeros(Extent(grid.size(), 1), torch::dtype(torch::kInt).device(device));
  for (size_t axis = 0; axis < grid.size(); ++axis) {
    const torch::Tensor place = torch::arange(grid[axis], labels.options());
    torch::Tensor part = torch::zeros_like(place);
    if (shift[axis] > 0)
      part = (place >= grid[axis] - window[axis]).to(torch::kInt) + (place >= grid[axis] - shift[axis]);
    Extent along(grid.size(), 1);
    along[axis] = grid[axis];
    labels = 3 * labels + part.view(along);
  }
  return windows_of(labels.unsqueeze(0).unsqueeze(-1), window).squeeze(-1);
}

torch::Tensor WindowAttention::bias_of(const Extent& window, torch::ScalarType type) const {
  int64_t tokens = 1;
  for (const int64_t edge : window) tokens *= edge;
  const torch::Tensor index = settings_.corner_positions
                                  ? relative_index(settings_.window, settings_.window, table_.device())
                                        .slice(0, 0, tokens)
                                        .slice(1, 0, tokens)
                                  : relative_index(window, settings_.window, table_.device());
  return table_.index_select(0, index.flatten()).view({tokens, tokens, -1}).permute({2, 0, 1}).to(type);
}

torch::Tensor WindowAttention::forward(const torch::Tensor& x) {
  const size_t axes = settings_.window.size();
  const Extent grid = x.sizes().slice(1, axes).vec();
  Extent window = settings_.window, padded = grid, shift(axes, 0), back(axes, 0), along, behind{0, 0};
  for (size_t axis = 0; axis < axes; ++axis) {
    window[axis] = std::min(window[axis], grid[axis]);
    if (settings_.shifted && (settings_.always_shifts || window[axis] < grid[axis]))
      shift[axis] = window[axis] / 2;
    back[axis] = -shift[axis];
    padded[axis] = (grid[axis] + window[axis] - 1) / window[axis] * window[axis];
    along.push_back(static_cast<int64_t>(axis) + 1);
  }
  for (size_t axis = axes; axis-- > 0;) behind.insert(behind.end(), {0, padded[axis] - grid[axis]});
  const bool shifts = std::any_of(shift.begin(), shift.end(), [](int64_t one) { return one > 0; });
  torch::Tensor y = padded == grid ? x : torch::constant_pad_nd(x, behind);
  if (shifts) y = y.roll(back, along);
  AttentionBias bias{bias_of(window, x.scalar_type()), {}};
  if (shifts) bias.regions = regions(padded, window, shift, x.device());
  y = grid_of(attended(windows_of(y, window), bias), padded, window);
  if (shifts) y = y.roll(shift, along);
  for (size_t axis = 0; axis < axes; ++axis) y = y.narrow(along[axis], 0, grid[axis]);
  return y;
}

bool WindowAttention::check_computed(const std::string& name, const torch::Tensor& value) const {
  if (name != "relative_position_index") return false;
  require(value.equal(relative_index(settings_.window, settings_.window, torch::kCPU)),
          "not the relative positions in a window");
  return true;
}

SwinBlock::SwinBlock(const WindowSettings& attention, int64_t mlp_hidden, double drop_path, const char* first,
                     const char* second, double norm_eps)
    : MixerBlock({.width = attention.width,
                  .mlp_hidden = mlp_hidden,
                  .drop_path = drop_path,
                  .norm_eps = norm_eps,
                  .names = {"norm1", "attn", "norm2", "mlp", first, second}},
                 std::make_shared<WindowAttention>(attention)),
      window_(attention.window) {}

bool SwinBlock::check_computed(const std::string& name, const torch::Tensor& value) const {
  if (name != "attn_mask") return false;
  const auto equals = [&](int64_t rows) {
    const Extent grid{rows * window_[0], value.size(0) / rows * window_[1]};
    const torch::Tensor regions =
        WindowAttention::regions(grid, window_, {window_[0] / 2, window_[1] / 2}, torch::kCPU);
    return value.equal(-100 * (regions.unsqueeze(1) != regions.unsqueeze(2)).to(value.scalar_type()));
  };
  bool found = false;
  for (int64_t rows = 1; value.dim() == 3 && window_.size() == 2 && rows <= value.size(0) && !found; ++rows)
    found = value.size(0) % rows == 0 && equals(rows);
  require(found, "not the mask of shifted windows");
  return true;
}

SwinStage::SwinStage(WindowSettings attention, int64_t mlp_hidden, const std::vector<double>& drop_path,
                     const char* first, const char* second) {
  for (size_t i = 0; i < drop_path.size(); ++i) {
    attention.shifted = i % 2 == 1;
    blocks_.push_back(std::make_shared<SwinBlock>(attention, mlp_hidden, drop_path[i], first, second));
  }
  register_list(*this, "blocks", blocks_);
}

void SwinStage::then(const char* name, std::shared_ptr<Layer> change) {
  change_ = register_module(name, std::move(change));
}

torch::Tensor SwinStage::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  for (const auto& block : blocks_) y = block->forward(y);
  return change_ ? change_->forward(y) : y;
}

}  // namespace mambaseg
