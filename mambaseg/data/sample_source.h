#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/core/random.h"

namespace mambaseg {

/// What a network learns from at a time: a patch of a volume, or a picture.
struct Sample {
  torch::Tensor image;    ///< (C, spatial...) float32
  torch::Tensor classes;  ///< (spatial...) int64
  /// (2) fp32, of slices: what PixelScaled networks are told.
  torch::Tensor scale_factors = {};
};

inline int64_t bytes_of_sample(int64_t channels, int64_t voxels) {
  return voxels * (channels * static_cast<int64_t>(sizeof(float)) + static_cast<int64_t>(sizeof(int64_t)));
}

/// The samples that one case gives. What sample i of an epoch looks like depends on the arguments only,
/// whatever was drawn before.
class SampleSource {
 public:
  virtual ~SampleSource() = default;
  virtual const std::string& id() const = 0;
  /// Samples an epoch takes from this case.
  virtual int64_t count() const = 0;
  /// What a sample takes in memory.
  virtual int64_t bytes() const = 0;
  /// Called from several threads.
  virtual Sample draw(int64_t sample, Random random) const = 0;
};

using SampleSources = std::vector<std::unique_ptr<SampleSource>>;

}  // namespace mambaseg
