#include "mambaseg/nets/blocks/pvm_layer.h"

#include "mambaseg/core/error.h"
#include "mambaseg/nets/blocks/official_blocks.h"

namespace mambaseg {

PvmLayer::PvmLayer(const PvmSettings& s)
    : settings_(s),
      norm_(register_module("norm", std::make_shared<LayerNorm>(s.in))),
      mamba_(register_module("mamba", std::make_shared<Mamba>(MambaSettings{
                                          .width = s.in / s.chunks, .states = s.states, .dims = s.dims}))),
      proj_(register_module("proj", std::make_shared<Linear>(s.in, s.out))),
      skip_scale_(register_parameter("skip_scale", torch::ones({1}))) {
  if (s.in % s.chunks != 0)
    throw UsageError(concat("network: ", s.in, " channels do not divide into ", s.chunks, " chunks"));
}

torch::Tensor PvmLayer::forward(const torch::Tensor& x) {
  const torch::Tensor tokens = x.movedim(1, -1), normed_tokens = norm_->forward(tokens);
  const std::vector<torch::Tensor> chunks = normed_tokens.chunk(settings_.chunks, -1),
                                   skips =
                                       settings_.normed_skip ? chunks : tokens.chunk(settings_.chunks, -1);
  std::vector<torch::Tensor> read;
  for (size_t i = 0; i < chunks.size(); ++i)
    read.push_back(mamba_->forward(chunks[i]) + (skip_scale_ * skips[i]).to(x.scalar_type()));
  return proj_->forward(norm_->forward(torch::cat(read, -1))).movedim(-1, 1);
}

std::vector<OfficialBlock> official_pvm_layer() {
  using Module = std::shared_ptr<torch::nn::Module>;
  return {
      {"wurenkai/UltraLight-VM-UNet",
       {"PVMLayer"},
       [](const Json& a) -> Module {
         return std::make_shared<PvmLayer>(PvmSettings{.in = a.at("input_dim"), .out = a.at("output_dim")});
       }},
      {"MrBlankness/LightM-UNet", {"MambaLayer"}, [](const Json& a) -> Module {
         return std::make_shared<PvmLayer>(PvmSettings{
             .in = a.at("input_dim"), .out = a.at("output_dim"), .chunks = 1, .normed_skip = false});
       }}};
}

}  // namespace mambaseg
