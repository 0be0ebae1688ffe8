#include "mambaseg/nets/blocks/pvm_layer.h"

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/official_blocks.h"

namespace mambaseg {

PvmLayer::PvmLayer(const PvmSettings& s) : settings_(s) {
  const int64_t parts = s.cut == PvmCut::even ? s.chunks : 2 * s.chunks;
  if (s.in % parts != 0)
    throw UsageError(concat("network: ", s.in, " channels do not divide into ", parts, " chunks"));
  const auto mixer = [&](int64_t width) -> std::shared_ptr<Layer> {
    if (s.mixer) return s.mixer(width);
    return std::make_shared<Mamba>(MambaSettings{.width = width, .states = s.states, .dims = s.dims});
  };
  norm_ = register_module("norm", std::make_shared<LayerNorm>(s.in));
  mamba_ = register_module("mamba", mixer(s.in / s.chunks));
  if (s.cut == PvmCut::halves) mamba_small_ = register_module("mamba_small", mixer(s.in / parts));
  proj_ = register_module("proj", std::make_shared<Linear>(s.in, s.out));
  skip_scale_ = register_parameter("skip_scale", torch::ones({1}));
  settings_.mixer = nullptr;  // may refer to what lives no longer than this call
}

torch::Tensor PvmLayer::forward(const torch::Tensor& x) {
  const int64_t width = settings_.in / settings_.chunks;
  const bool shifted = settings_.cut == PvmCut::shifted, halves = settings_.cut == PvmCut::halves;
  std::vector<int64_t> widths(static_cast<size_t>(settings_.chunks), width);
  if (halves) widths.back() = width / 2, widths.insert(widths.begin(), width / 2);
  const auto chunks_of = [&](const torch::Tensor& tokens) {
    return (shifted ? tokens.roll(width / 2, -1) : tokens).split_with_sizes(widths, -1);
  };
  const torch::Tensor tokens = x.movedim(1, -1), normed_tokens = norm_->forward(tokens);
  const std::vector<torch::Tensor> chunks = chunks_of(normed_tokens),
                                   skips = settings_.normed_skip ? chunks : chunks_of(tokens);
  std::vector<torch::Tensor> read;
  for (size_t i = 0; i < chunks.size(); ++i)
    read.push_back((chunks[i].size(-1) == width ? mamba_ : mamba_small_)->forward(chunks[i]) +
                   (skip_scale_ * skips[i]).to(x.scalar_type()));
  const torch::Tensor all = torch::cat(read, -1);
  return proj_->forward(norm_->forward(shifted ? all.roll(-width / 2, -1) : all)).movedim(-1, 1);
}

std::vector<OfficialBlock> official_pvm_layer() {
  using Module = std::shared_ptr<torch::nn::Module>;
  static const auto make = [](const Json& a, int64_t chunks, bool normed_skip) -> Module {
    MambaSettings mamba{.dims = 2};
    mamba.states = argument(a, "d_state", mamba.states);
    mamba.conv_kernel = argument(a, "d_conv", mamba.conv_kernel);
    mamba.expand = argument(a, "expand", mamba.expand);
    const auto mixer = [&](int64_t width) {
      mamba.width = width;
      return std::make_shared<Mamba>(mamba);
    };
    return std::make_shared<PvmLayer>(PvmSettings{.in = a.at("input_dim"),
                                                  .out = a.at("output_dim"),
                                                  .chunks = chunks,
                                                  .normed_skip = normed_skip,
                                                  .mixer = mixer});
  };
  return {{"wurenkai/UltraLight-VM-UNet", {"PVMLayer"}, [](const Json& a) { return make(a, 4, true); }},
          {"MrBlankness/LightM-UNet", {"MambaLayer"}, [](const Json& a) { return make(a, 1, false); }}};
}

}  // namespace mambaseg
