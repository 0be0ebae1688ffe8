// SegMambaBot, the twin that the MedSegMamba paper (Cao, Li, Guo 2024) compares with: the same convolutional
// shell and the same blocks, but their mixer is the tri-orientated Mamba of SegMamba (Xing et al. 2024),
// without its gated convolution. No code is published; state size, expansion and MLP width are the only
// reading that gives the stated ratio of parameters (MedSegMamba has 22 % fewer). The slices of the third
// walk are those along the first axis of the paper's 12 x 12 x 12 token grid.

#include "mambaseg/nets/blocks/medsegmamba_shell.h"
#include "mambaseg/nets/blocks/mixer_block.h"
#include "mambaseg/nets/blocks/tri_orientated_mamba.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct SegMambaBotSettings : MedSegMambaShell {
  int64_t layers = 9;
  int64_t states = 16;
  int64_t expand = 2;
  int64_t mlp_ratio = 1;
  int64_t conv_kernel = 4;
  int64_t slices = 12;
  double mlp_dropout = 0.1;
  double drop_path = 0.3;

  void describe(SettingsVisitor& visit) {
    MedSegMambaShell::describe(visit);
    visit("layers", layers, "blocks in the bottleneck", at_least(1));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
    visit("expand", expand, "channels inside the mixer / token_width", at_least(1));
    visit("mlp_ratio", mlp_ratio, "hidden channels of the MLP / token_width", at_least(1));
    visit("conv_kernel", conv_kernel, "length of the causal convolution in the mixer", at_least(1));
    visit("slices", slices, "slices of the third walk; must divide the number of tokens", at_least(1));
    visit("mlp_dropout", mlp_dropout, "training: dropout in the MLP", between(0, 1));
    visit("drop_path", drop_path, "training: chance that a residual branch is left out for a sample",
          between(0, 1));
  }
};

std::shared_ptr<Network> make(const SegMambaBotSettings& s) {
  const MixerBlockSettings block{s.token_width, s.mlp_ratio * s.token_width, s.mlp_dropout, s.drop_path};
  const TriOrientatedMambaSettings mixer{s.token_width, s.states, s.conv_kernel, s.expand, s.slices};
  std::vector<std::shared_ptr<Layer>> blocks;
  for (int64_t i = 0; i < s.layers; ++i)
    blocks.push_back(std::make_shared<MixerBlock>(block, std::make_shared<TriOrientatedMamba>(mixer)));
  return std::make_shared<MedSegMamba>(s, std::make_shared<MixerStack3d>(std::move(blocks)));
}

}  // namespace

NetworkEntry segmambabot_entry() {
  return hybrid_entry<SegMambaBotSettings>(
      {.name = "segmambabot",
       .dims = {3},
       .source = "Cao, Li, Guo: MedSegMamba, 2024, its comparison network; mixer of Xing et al.: SegMamba, "
                 "2024, github.com/ge-xing/SegMamba",
       .summary = "MedSegMamba's shell with SegMamba's tri-orientated Mamba in the bottleneck",
       .parameters = 108'251'744,
       .small =
           R"({"classes": 3, "widths": [8, 16, 24, 32], "token_width": 12, "layers": 2, "states": 4, "slices": 2, "drop_path": 0.0})",
       .small_edge = 16},
      [](const SegMambaBotSettings& s) { return make(s); });
}

}  // namespace mambaseg
