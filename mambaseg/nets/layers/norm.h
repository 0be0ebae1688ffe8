#pragma once

#include "mambaseg/nets/layers/layer.h"

/// Norms with a scale "weight" and a shift "bias" a channel, eps 1e-5 unless given. Parameters stay fp32 when
/// activations are bf16.
namespace mambaseg {

/// With running statistics in evaluation mode, momentum 0.1. Buffers as torch.nn.BatchNormNd.
class BatchNorm : public EpilogueLayer {
 public:
  explicit BatchNorm(int64_t channels, double eps = 1e-5);
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) override;
  FixedNorm fixed() const { return {weight, bias, running_mean, running_var, eps_}; }
  torch::Tensor weight, bias, running_mean, running_var, num_batches_tracked;

 private:
  double eps_;
};

/// Over the channels of each of `groups`.
class GroupNorm : public EpilogueLayer {
 public:
  GroupNorm(int64_t groups, int64_t channels);
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) override;
  torch::Tensor weight, bias;

 private:
  int64_t groups_;
};

/// Each channel by itself.
class InstanceNorm : public GroupNorm {
 public:
  explicit InstanceNorm(int64_t channels) : GroupNorm(channels, channels) {}
};

/// The same without scale and shift: no parameters, so that a count of layers is all it leaves in a
/// state_dict.
class PlainInstanceNorm : public EpilogueLayer {
 public:
  torch::Tensor run(const torch::Tensor& x, const Epilogue& epilogue) override;
};

/// Over the last axis.
class LayerNorm : public Layer {
 public:
  explicit LayerNorm(int64_t width, double eps = 1e-5);
  torch::Tensor forward(const torch::Tensor& x) override;
  torch::Tensor weight, bias;

 private:
  double eps_;
};

/// act(norm(layer(x)) + residual), the norm folded into the weights where its statistics are fixed and no
/// gradient is needed.
torch::Tensor normed(DenseLayer& layer, BatchNorm& norm, const torch::Tensor& x,
                     const Epilogue& epilogue = {});

}  // namespace mambaseg
