#pragma once

#include "mambaseg/nets/layers/convolution.h"

namespace mambaseg {

struct HighOrderSettings {
  int64_t dims = 2;
  int64_t width = 32;
  int64_t order = 2;                     ///< number of gates; width is a multiple of 2^(order - 1)
  double scale = 1;                      ///< of the gates
  bool multiply = true;                  ///< by the gates; else they are added
  const char* between = "pws";           ///< name of the list of projections between gates
  ConvolutionSettings convolution = {};  ///< of the pointwise ones
};

/// Gates of high order, each over twice the channels of the one before (gnConv, Rao et al. 2022, HorNet;
/// H-SS2D of H-vmunet; hgConv of MambaClinix): the tokens are projected to a first part and gates of
/// width / 2^(order - 1), ..., width / 2, width channels, which pass a local layer; then in turn part times
/// gate, a mixer where there are some, projection to the next width. Prefixes "proj_in", "dwconv" (local),
/// those of the mixers, `between`, "proj_out".
class HighOrderGate : public Layer {
 public:
  /// Channels of the gates.
  static std::vector<int64_t> widths(const HighOrderSettings& settings);

  /// `local` and the mixers (none, or one a gate, under their names) work on tokens. UsageError where the
  /// width does not halve so often.
  HighOrderGate(const HighOrderSettings& settings, std::shared_ptr<Layer> local,
                const std::vector<std::pair<std::string, std::shared_ptr<Layer>>>& mixers = {});
  /// x (B, sizes..., width) -> the same sizes
  torch::Tensor forward(const torch::Tensor& tokens) override;

 private:
  HighOrderSettings settings_;
  std::vector<int64_t> widths_;
  std::shared_ptr<Convolution> in_, out_;
  std::shared_ptr<Layer> local_;
  std::vector<std::shared_ptr<Layer>> mixers_;
  std::vector<std::shared_ptr<Convolution>> between_;
};

/// A convolution of each channel by itself, on tokens (B, sizes..., C).
class TokenConvolution : public Convolution {
 public:
  using Convolution::Convolution;
  torch::Tensor forward(const torch::Tensor& tokens) override {
    return run(tokens.movedim(-1, 1), {}, nullptr).movedim(1, -1);
  }
};

}  // namespace mambaseg
