#pragma once

#include "mambaseg/nets/blocks/medsegmamba_shell.h"

namespace mambaseg {

/// MedSegMamba: its shell and the bottleneck.
struct MedSegMambaSettings : MedSegMambaShell {
  std::string bottleneck = "v5";
  int64_t layers = 9;
  int64_t states = 64;
  double expand = 1;
  int64_t mlp_ratio = 1;
  int64_t conv_kernel = 3;
  int64_t dt_rank = 0;
  bool ssm_bias = false;
  std::string walk = "snake";
  std::vector<int64_t> orientations;
  double dropout = 0.1;
  double mlp_dropout = 0.1;
  double drop_path = 0.3;
  int64_t heads = 16;
  int64_t edge = 96;

  void describe(SettingsVisitor& visit) {
    MedSegMambaShell::describe(visit);
    visit("bottleneck", bottleneck,
          "v5: 8 of 48 snakes a block; v6: 6 raster walks; vanilla: 4 raster walks and a gate, no MLP; "
          "transformer: "
          "TABSurfer's attention",
          one_of({"v5", "v6", "vanilla", "transformer"}));
    visit("layers", layers, "blocks in the bottleneck", at_least(1));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("expand", expand, "channels inside the mixer / token_width", between(0.01, 8));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / token_width", at_least(1));
    visit("conv_kernel", conv_kernel, "edge of the depthwise convolution in the mixer, odd", between(1, 15));
    visit("dt_rank", dt_rank, "rank of the time step projection, 0: token_width / 16", at_least(0));
    visit("ssm_bias", ssm_bias, "bias in the projections of the mixer");
    visit("walk", walk, "base curve of v5", one_of({"snake", "sweep"}));
    visit("orientations", orientations, "walks of each block; empty: 0, 1, 2, ... around", at_least(0));
    visit("dropout", dropout, "training: dropout after the mixer, or on the attention", between(0, 1));
    visit("mlp_dropout", mlp_dropout, "training: dropout in the MLP", between(0, 1));
    visit("drop_path", drop_path, "training: chance that a residual branch is left out for a sample",
          between(0, 1));
    visit("heads", heads, "attention heads of the transformer bottleneck", at_least(1));
    visit("edge", edge,
          "input edge that the transformer bottleneck learns positions for; interpolated for others",
          at_least(8));
  }
};

/// The bottleneck alone. UsageError when settings do not fit each other.
std::shared_ptr<Layer> make_medsegmamba_bottleneck(const MedSegMambaSettings& settings);

}  // namespace mambaseg
