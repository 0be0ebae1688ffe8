// U-Net + CBAM, a comparison network of the HyM-UNet paper (arXiv 2511.17988, table 2). The paper does not
// say where the modules sit: here a convolutional block attention module (Woo et al. 2018, reduction 16, 7x7)
// follows every double convolution of the encoder.

#include "mambaseg/nets/blocks/unet2d.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"

namespace mambaseg {
namespace {

struct UnetCbamSettings : UnetSettings {
  std::vector<int64_t> stages{1, 2, 3, 4, 5};
  int64_t reduction = 16;
  int64_t kernel = 7;

  void describe(SettingsVisitor& visit) {
    UnetSettings::describe(visit);
    visit("stages", stages, "encoder stages with a module, 1 is the finest", at_least(1));
    visit("reduction", reduction, "channels / channels inside the channel attention", at_least(1));
    visit("kernel", kernel, "edge of the spatial attention's convolution, odd", at_least(1));
  }
};

/// Channel attention from mean and maximum over space, then spatial attention from mean and maximum over
/// channels.
class ConvBlockAttention : public Layer {
 public:
  ConvBlockAttention(int64_t channels, int64_t reduction, int64_t kernel) {
    if (kernel % 2 == 0) throw UsageError(concat("kernel: expected an odd number, got ", kernel));
    const int64_t inner = std::max<int64_t>(1, channels / reduction);
    mlp_ = register_module("mlp", sequence({std::make_shared<Linear>(channels, inner), relu(),
                                            std::make_shared<Linear>(inner, channels)}));
    spatial_ = register_module(
        "spatial", sequence({conv(2, 2, 1, kernel, {.bias = false}), std::make_shared<BatchNorm>(1),
                             activation(Activation::sigmoid)}));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor channel =
        torch::sigmoid(mlp_->forward(x.mean({2, 3})) + mlp_->forward(x.amax({2, 3})));
    const torch::Tensor y = x * channel.unsqueeze(-1).unsqueeze(-1);
    return y * spatial_->forward(torch::cat({y.amax(1, true), y.mean(1, true)}, 1));
  }

 private:
  std::shared_ptr<Sequence> mlp_, spatial_;
};

}  // namespace

NetworkEntry unet_cbam_entry() {
  return network_entry<UnetCbamSettings>(
      {.name = "unet_cbam",
       .dims = {2},
       .source = "U-Net + CBAM of the HyM-UNet paper, arXiv 2511.17988; Woo et al.: CBAM, 2018",
       .summary = "2-D U-Net with channel and spatial attention in the encoder",
       .parameters = 31'214'833,
       .small = R"({"classes": 3, "widths": [8, 12, 16], "stages": [1, 3], "reduction": 2, "kernel": 3})",
       .small_edge = 16},
      [](const UnetCbamSettings& s) {
        return std::make_shared<Unet>(s, UnetExtra{"cbam", s.stages, [&](int64_t channels) {
                                                     return std::make_shared<ConvBlockAttention>(
                                                         channels, s.reduction, s.kernel);
                                                   }});
      });
}

}  // namespace mambaseg
