// U-Net + SE, a comparison network of the HyM-UNet paper (arXiv 2511.17988, table 2). The paper does not say
// where the modules sit: here a squeeze-and-excitation module (Hu, Shen, Sun 2018, reduction 16) follows
// every double convolution of the encoder.

#include "mambaseg/nets/blocks/unet2d.h"
#include "mambaseg/nets/layers/linear.h"

namespace mambaseg {
namespace {

struct UnetSeSettings : UnetSettings {
  std::vector<int64_t> stages{1, 2, 3, 4, 5};
  int64_t reduction = 16;

  void describe(SettingsVisitor& visit) {
    UnetSettings::describe(visit);
    visit("stages", stages, "encoder stages with a module, 1 is the finest", at_least(1));
    visit("reduction", reduction, "channels / channels inside the module", at_least(1));
  }
};

/// Scales each channel by a sigmoid of what two layers make of the channel means.
class SqueezeExcitation : public Layer {
 public:
  SqueezeExcitation(int64_t channels, int64_t reduction) {
    const int64_t inner = std::max<int64_t>(1, channels / reduction);
    fc_ = register_module(
        "fc", sequence({std::make_shared<Linear>(channels, inner), relu(),
                        std::make_shared<Linear>(inner, channels), activation(Activation::sigmoid)}));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    return x * fc_->forward(x.mean({2, 3})).unsqueeze(-1).unsqueeze(-1);
  }

 private:
  std::shared_ptr<Sequence> fc_;
};

}  // namespace

NetworkEntry unet_se_entry() {
  return network_entry<UnetSeSettings>(
      {.name = "unet_se",
       .dims = {2},
       .source = "U-Net + SE of the HyM-UNet paper, arXiv 2511.17988; Hu, Shen, Sun: Squeeze-and-Excitation "
                 "Networks, 2018",
       .summary = "2-D U-Net with squeeze-and-excitation in the encoder",
       .parameters = 31'214'333,
       .small = R"({"classes": 3, "widths": [8, 12, 16], "stages": [1, 3], "reduction": 2})",
       .small_edge = 16},
      [](const UnetSeSettings& s) {
        return std::make_shared<Unet>(s, UnetExtra{"se", s.stages, [&](int64_t channels) {
                                                     return std::make_shared<SqueezeExcitation>(channels,
                                                                                                s.reduction);
                                                   }});
      });
}

}  // namespace mambaseg
