#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "mambaseg/core/random.h"
#include "mambaseg/tasks/synthetic/synthesis_settings.h"

namespace mambaseg {

/// What one scan makes of a head, by index into head_labels. White matter of a T1-weighted scan is 1.
struct HeadLooks {
  static constexpr size_t kOutside = 255;  ///< beyond the end of the image; no index of a label

  std::array<float, 256> mean{}, grain{}, patches{};
  double bias = 0;   ///< standard deviation of its logarithm
  double noise = 0;  ///< standard deviation
  bool rician = false;

  /// Parts of the head are 0: what lies further from the core than the threshold of its blurred outline says.
  bool masked = false;
  std::array<bool, 256> core{};     ///< what is surely measured
  std::array<bool, 256> outside{};  ///< what is 0 for sure
  double mask_blur_mm = 1, mask_threshold = 0.5, mask_raggedness = 0;
};

/// The tissues with the priors that the settings replace. UsageError on a name that is none.
std::vector<HeadTissue> tissues_of(const SynthesisSettings& settings);

HeadLooks draw_looks(const SynthesisSettings& settings, const std::vector<HeadTissue>& tissues,
                     Random& random);

/// Uniform in a range of the settings, its smallest and largest value.
inline double uniform_in(const std::vector<double>& range, Random& random) {
  return random.uniform(range[0], range[1]);
}

}  // namespace mambaseg
