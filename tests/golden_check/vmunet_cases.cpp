// The modules and the whole network of VM-UNet.

#include <algorithm>
#include <array>

#include "mambaseg/nets/vm_unet.h"
#include "mambaseg/nets/weights.h"
#include "tests/golden_check/module_check.h"

namespace mambaseg {
namespace {

template <class Module>
GoldenResult check_plain(const GoldenCase& golden, const std::shared_ptr<Module>& module) {
  return check_module(golden, *module, [&](const torch::Tensor& x) { return module->forward(x); });
}

Ss2dSettings mixer_settings(const GoldenCase& g, const char* width) {
  Ss2dSettings s;
  s.width = g.args.at(width);
  s.states = argument<int64_t>(g, "d_state", 16);
  s.conv_kernel = argument<int64_t>(g, "d_conv", 3);
  s.expand = argument<double>(g, "expand", 2);
  if (g.args.contains("dt_rank") && g.args["dt_rank"].is_number()) s.dt_rank = g.args["dt_rank"];
  s.bias = argument(g, "bias", false);
  s.conv_bias = argument(g, "conv_bias", true);
  return s;
}

GoldenResult check_ss2d(const GoldenCase& g) {
  return check_plain(g, std::make_shared<SS2D>(mixer_settings(g, "d_model")));
}

GoldenResult check_block(const GoldenCase& g) {
  // 1e-6 is the default of the official block; the layers above pass 1e-5.
  return check_plain(g, std::make_shared<VssBlock2d>(mixer_settings(g, "hidden_dim"), 0, 1e-6));
}

GoldenResult check_embed(const GoldenCase& g) {
  return check_plain(g, std::make_shared<PatchEmbed2d>(argument<int64_t>(g, "in_chans", 3),
                                                       argument<int64_t>(g, "embed_dim", 96),
                                                       argument<int64_t>(g, "patch_size", 4)));
}

GoldenResult check_merging(const GoldenCase& g) {
  return check_plain(g, std::make_shared<PatchMerging2d>(g.args.at("dim").get<int64_t>()));
}

GoldenResult check_expand(const GoldenCase& g) {
  return check_plain(g, std::make_shared<PatchExpand2d>(2 * g.args.at("dim").get<int64_t>(),
                                                        argument<int64_t>(g, "dim_scale", 2)));
}

GoldenResult check_final_expand(const GoldenCase& g) {
  return check_plain(g, std::make_shared<PatchExpand2d>(g.args.at("dim").get<int64_t>(),
                                                        argument<int64_t>(g, "dim_scale", 4)));
}

GoldenResult check_network(const GoldenCase& g) {
  VmUnetSettings s;
  s.in_channels = argument<int64_t>(g, "in_chans", argument<int64_t>(g, "input_channels", 3));
  s.classes = argument<int64_t>(g, "num_classes", 1);
  s.widths = argument(g, "dims", s.widths);
  s.depths = argument<std::vector<int64_t>>(g, "depths", {2, 2, 9, 2});
  s.widths.resize(std::min(s.widths.size(), s.depths.size()));  // as many as there are depths are used
  s.decoder_depths = argument<std::vector<int64_t>>(g, "depths_decoder", {2, 9, 2, 2});
  s.states = argument<int64_t>(g, "d_state", 16);
  VmUnet network(s);
  load_weights(network, g.weights());
  network.eval();
  torch::NoGradGuard no_grad;
  const torch::Tensor logits = network.forward(golden_input(g, "x")).at(0);
  GoldenComparison comparison(g);
  if (g.has("output.logits")) comparison.output("logits", logits);
  // The official class applies the sigmoid itself where there is one class.
  comparison.output("y", s.classes == 1 ? logits.sigmoid() : logits);
  return comparison.result();
}

constexpr std::array kChecks{
    GoldenCheck{"SS2D", check_ss2d},
    GoldenCheck{"VSSBlock", check_block},
    GoldenCheck{"patchembed", check_embed},
    GoldenCheck{"PatchEmbed2D", check_embed},
    GoldenCheck{"patchmerge", check_merging},
    GoldenCheck{"patchmerge_odd", check_merging},
    GoldenCheck{"PatchMerging2D", check_merging},
    GoldenCheck{"patchexpand", check_expand},
    GoldenCheck{"PatchExpand2D", check_expand},
    GoldenCheck{"finalexpand", check_final_expand},
    GoldenCheck{"Final_PatchExpand2D", check_final_expand},
    GoldenCheck{"VMUNet", check_network},
};

}  // namespace

std::span<const GoldenCheck> vmunet_checks() { return kChecks; }

}  // namespace mambaseg
