#pragma once

#include "mambaseg/nets/blocks/scan_twin.h"
#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/linear.h"
#include "mambaseg/ops/selective_scan.h"

namespace mambaseg {

/// x / sqrt(mean of squares + eps), scaled, over the last axis (Zhang & Sennrich 2019). Parameter "weight".
class RmsNorm : public Layer {
 public:
  RmsNorm(int64_t width, double eps);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  torch::Tensor weight_;
  double eps_;
};

/// What a second set of weights of a Mamba-2 reads.
enum class SecondReading {
  none,
  backwards,         ///< the sequence from its end
  flipped_channels,  ///< what the projection gives with its channels turned round, as MobileViM's code has it
};

struct Mamba2Settings {
  int64_t width = 64;         ///< channels of the tokens (d_model)
  int64_t states = 16;        ///< states a channel (d_state)
  int64_t conv_kernel = 4;    ///< length of the causal convolution (d_conv)
  int64_t expand = 2;         ///< inner channels / width
  int64_t head_channels = 1;  ///< channels that share decay, time step and skip (headdim)
  SecondReading second = SecondReading::none;
};

/// Mamba-2 (Dao & Gu 2024) with one group: gate, channels, B, C and time steps from one projection; causal
/// depthwise convolution and SiLU on channels, B and C; a selective scan with one decay a head; gate, RMS
/// norm, projection. The scan is Mamba-1's with decays that are equal. A second reading has a convolution,
/// decays and skips of its own; the result is then the mean of both. Module names are those of
/// state-spaces/mamba and, for the second reading, of MobileViM.
class Mamba2 : public Layer {
 public:
  /// UsageError where the heads do not divide the inner channels.
  explicit Mamba2(const Mamba2Settings& settings);
  /// x (B, L, width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& x_BLC) override;

 private:
  struct Reading {
    std::shared_ptr<Convolution> conv;
    torch::Tensor A_log, D;          ///< (heads)
    std::shared_ptr<ScanTwin> twin;  ///< in place of the scan, which then has no B, C and time steps
  };
  Reading reading(const char* conv, const char* A_log, const char* D, const char* twin);
  torch::Tensor read(const torch::Tensor& projected, const Reading& reading) const;

  Mamba2Settings settings_;
  int64_t channels_;
  std::shared_ptr<Linear> in_proj_, out_proj_;
  torch::Tensor dt_bias_;  ///< (heads)
  Reading first_, second_;
  std::shared_ptr<RmsNorm> norm_;
};

}  // namespace mambaseg
