// U-Net + Mamba, a comparison network of the HyM-UNet paper (arXiv 2511.17988, table 2). The paper does not
// say which block sits where: here one VSS block, as in HyM-UNet, follows the double convolution of the two
// coarsest encoder stages, for HyM-UNet too scans only in its two coarsest stages.

#include "mambaseg/nets/blocks/ss2d.h"
#include "mambaseg/nets/blocks/unet2d.h"
#include "mambaseg/nets/model/hybrid_entry.h"

namespace mambaseg {
namespace {

struct UnetMambaSettings : UnetSettings {
  std::vector<int64_t> stages{4, 5};
  int64_t states = 16;

  void describe(SettingsVisitor& visit) {
    UnetSettings::describe(visit);
    visit("stages", stages, "encoder stages with a VSS block, 1 is the finest", at_least(1));
    visit("states", states, "states of the selective scan a channel", between(1, 256));
  }
};

class VssOnMaps : public Layer {
 public:
  explicit VssOnMaps(const Ss2dSettings& mixer)
      : block_(register_module("block", std::make_shared<VssBlock2d>(mixer))) {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return block_->forward(x.permute({0, 2, 3, 1}).contiguous()).permute({0, 3, 1, 2}).contiguous();
  }

 private:
  std::shared_ptr<VssBlock2d> block_;
};

}  // namespace

NetworkEntry unet_mamba_entry() {
  return hybrid_entry<UnetMambaSettings>(
      {.name = "unet_mamba",
       .dims = {2},
       .source = "U-Net + Mamba of the HyM-UNet paper, arXiv 2511.17988; no code published",
       .summary = "2-D U-Net with selective scan blocks in the two coarsest stages",
       .parameters = 40'867'009,
       .small = R"({"classes": 3, "widths": [4, 8, 12], "stages": [2, 3], "states": 4})",
       .small_edge = 16},
      [](const UnetMambaSettings& s) {
        return std::make_shared<Unet>(s, UnetExtra{"mamba", s.stages, [&](int64_t channels) {
                                                     Ss2dSettings mixer;
                                                     mixer.width = channels;
                                                     mixer.states = s.states;
                                                     return std::make_shared<VssOnMaps>(mixer);
                                                   }});
      });
}

}  // namespace mambaseg
