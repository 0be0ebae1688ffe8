#include "mambaseg/nets/blocks/res_block.h"

#include "mambaseg/nets/blocks/nnunet.h"

namespace mambaseg {

ResBlock::ResBlock(int64_t in, int64_t out, const Extent& kernel, const Extent& stride, bool projected)
    : conv1_(register_module("conv1",
                             std::make_shared<Convolution>(in, out, kernel, nnunet_convolution(stride)))),
      conv2_(register_module("conv2", std::make_shared<Convolution>(out, out, kernel, nnunet_convolution()))),
      norm1_(register_module("norm1", std::make_shared<InstanceNorm>(out))),
      norm2_(register_module("norm2", std::make_shared<InstanceNorm>(out))) {
  if (projected)
    conv3_ = register_module("conv3", std::make_shared<Convolution>(in, out, Extent(kernel.size(), 1),
                                                                    nnunet_convolution(stride)));
}

torch::Tensor ResBlock::forward(const torch::Tensor& x) {
  const torch::Tensor y = norm1_->run(conv1_->forward(x), {Activation::leaky_relu, {}});
  return norm2_->run(conv2_->forward(y), {Activation::leaky_relu, conv3_ ? conv3_->forward(x) : x});
}

NearestGrowth::NearestGrowth(int64_t in, int64_t out, const Extent& factor)
    : factor_(factor),
      conv_(register_module("conv", nnunet_pointwise(static_cast<int64_t>(factor.size()), in, out))) {}

torch::Tensor NearestGrowth::forward(const torch::Tensor& x) {
  // A 1x1 convolution and the repetition of voxels may change places: the convolution sees the small grid.
  return nearest_upsampled(conv_->forward(x), factor_);
}

}  // namespace mambaseg
