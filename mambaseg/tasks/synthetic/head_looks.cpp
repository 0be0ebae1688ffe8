#include "mambaseg/tasks/synthetic/head_looks.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using PerTissue = std::vector<float>;

/// Rises from low to mode and falls to high.
double triangular(double low, double mode, double high, Random& random) {
  const double u = random.uniform(), width = high - low;
  if (width <= 0) return mode;
  const double below = (mode - low) / width;
  return u < below ? low + std::sqrt(u * width * (mode - low))
                   : high - std::sqrt((1 - u) * width * (high - mode));
}

/// A T1-weighted scan.
void draw_t1(const SynthesisSettings& settings, const std::vector<HeadTissue>& tissues, PerTissue& mean,
             PerTissue& grain, PerTissue& patches, Random& random) {
  const double contrast = uniform_in(settings.t1_contrast, random);
  for (size_t t = 0; t < tissues.size(); ++t) {
    const auto& [prior, place] = tissues[t];
    const double low = prior.median - settings.t1_spread * (prior.median - prior.low);
    const double high = prior.median + settings.t1_spread * (prior.high - prior.median);
    double value = triangular(low, prior.median, high, random);
    if (place == TissuePlace::brain || place == TissuePlace::fluid) value = 1 - contrast * (1 - value);
    const double variation = random.uniform(0.5, 1.5);
    mean[t] = static_cast<float>(std::max(place == TissuePlace::air ? 0.0 : 0.02, value));
    grain[t] = static_cast<float>(variation * prior.grain);
    patches[t] = static_cast<float>(variation * prior.patches);
  }
}

/// What is left away.
void draw_mask(const SynthesisSettings& settings, const std::vector<HeadTissue>& tissues, HeadLooks& looks,
               Random& random) {
  const bool stripped = random.coin(settings.skull_stripped);
  if (!stripped && !random.coin(settings.zero_background)) return;
  looks.masked = true;
  const bool remnants = !stripped || random.coin(settings.strip_remnants);
  looks.mask_blur_mm = stripped ? random.uniform(1, 3) : 1;
  looks.mask_threshold = stripped ? random.uniform(0.05, 0.5) : 0.5;
  looks.mask_raggedness = stripped ? random.uniform(0, remnants ? 0.25 : 0.1) : 0;
  const std::vector<HeadLabel>& labels = head_labels();
  for (size_t index = 0; index < labels.size(); ++index) {
    const TissuePlace place = tissues[static_cast<size_t>(labels[index].tissue)].place;
    looks.core[index] = place == TissuePlace::brain || (!stripped && place != TissuePlace::air);
    looks.outside[index] = place == TissuePlace::air || (place == TissuePlace::head && !remnants);
  }
}

}  // namespace

std::vector<HeadTissue> tissues_of(const SynthesisSettings& settings) {
  std::vector<HeadTissue> out = head_tissues();
  for (const TissuePrior& prior : settings.tissues) {
    if (prior.low > prior.median || prior.median > prior.high)
      throw UsageError(concat("setting synthesis.tissues: ", prior.name, ": expected low <= median <= high"));
    out[static_cast<size_t>(head_tissue_index(prior.name))].prior = prior;
  }
  return out;
}

HeadLooks draw_looks(const SynthesisSettings& settings, const std::vector<HeadTissue>& tissues,
                     Random& random) {
  PerTissue mean(tissues.size()), grain = mean, patches = mean;
  if (random.coin(settings.t1)) {
    draw_t1(settings, tissues, mean, grain, patches, random);
  } else {
    for (size_t t = 1; t < tissues.size(); ++t) {
      mean[t] = static_cast<float>(random.uniform(0.02, 1));
      grain[t] = static_cast<float>(0.7 * random.uniform(0, settings.free_deviation));
      patches[t] = static_cast<float>(0.7 * random.uniform(0, settings.free_deviation));
    }
  }
  const double power = std::exp(random.uniform(-settings.gamma, settings.gamma));
  HeadLooks looks;
  const std::vector<HeadLabel>& labels = head_labels();
  for (size_t index = 0; index < labels.size(); ++index) {
    const auto t = static_cast<size_t>(labels[index].tissue);
    const double raised = std::pow(mean[t], power);
    const double slope = mean[t] > 0 ? power * raised / mean[t] : 1;
    looks.mean[index] = static_cast<float>(raised);
    looks.grain[index] = static_cast<float>(slope * grain[t]);
    looks.patches[index] = static_cast<float>(slope * patches[t]);
  }
  looks.bias = random.uniform(0, settings.bias);
  if (random.coin(settings.bias_corrected)) looks.bias = 0;
  looks.noise = random.uniform(0, settings.noise);
  looks.rician = random.coin(settings.rician);
  draw_mask(settings, tissues, looks, random);
  looks.outside[HeadLooks::kOutside] = true;
  return looks;
}

}  // namespace mambaseg
