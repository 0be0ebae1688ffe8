#include "mambaseg/nets/blocks/conv_block_attention.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/nets/layers/norm.h"

namespace mambaseg {

ConvBlockAttention::ConvBlockAttention(const ConvBlockAttentionSettings& s) {
  if (s.kernel % 2 == 0) throw UsageError(concat("kernel: expected an odd number, got ", s.kernel));
  const int64_t inner = std::max<int64_t>(1, s.channels / s.reduction);
  mlp_ = register_module("mlp", sequence({std::make_shared<Linear>(s.channels, inner), relu(),
                                          std::make_shared<Linear>(inner, s.channels)}));
  spatial_ =
      register_module("spatial", sequence({conv(2, 2, 1, s.kernel, {.bias = false}),
                                           std::make_shared<BatchNorm>(1), activation(Activation::sigmoid)}));
}

torch::Tensor ConvBlockAttention::forward(const torch::Tensor& x) {
  const torch::Tensor channel = torch::sigmoid(mlp_->forward(x.mean({2, 3})) + mlp_->forward(x.amax({2, 3})));
  const torch::Tensor y = x * channel.unsqueeze(-1).unsqueeze(-1);
  return y * spatial_->forward(torch::cat({y.amax(1, true), y.mean(1, true)}, 1));
}

std::string ConvBlockAttention::our_name(const std::string& official) {
  constexpr const char* kNames[][2] = {{"ChannelGate.mlp.1.", "mlp.0."},
                                       {"ChannelGate.mlp.3.", "mlp.2."},
                                       {"SpatialGate.spatial.conv.", "spatial.0."},
                                       {"SpatialGate.spatial.bn.", "spatial.1."}};
  for (const auto& [theirs, ours] : kNames)
    if (const size_t at = official.find(theirs); at != std::string::npos)
      return std::string(official).replace(at, std::string(theirs).size(), ours);
  return official;
}

}  // namespace mambaseg
