#pragma once

#include <torch/types.h>

#include "mambaseg/config/config.h"
#include "mambaseg/core/random.h"

namespace mambaseg {

/// Probabilities of the intensity changes of nnU-Net (Isensee et al. 2021, supplement), in the order in which
/// they happen; their ranges are nnU-Net's. All are off by default; its own values are 0.1, 0.2, 0.15, 0.15,
/// 0.25, 0.1, 0.3.
struct NnunetAugmentSettings {
  double noise = 0;
  double blur = 0;
  double brightness = 0;
  double contrast = 0;
  double low_resolution = 0;
  double inverted_gamma = 0;
  double gamma = 0;

  void describe(SettingsVisitor& visit) {
    visit("noise", noise, "normal noise, deviation 0 to 0.1", between(0, 1));
    visit("blur", blur, "Gaussian blur of half of the channels, deviation 0.5 to 1 voxels", between(0, 1));
    visit("brightness", brightness, "values times 0.75 to 1.25", between(0, 1));
    visit("contrast", contrast, "distance from the mean times 0.75 to 1.25, inside the old range",
          between(0, 1));
    visit("low_resolution", low_resolution, "half of the channels from a grid of 0.5 to 1 times the voxels",
          between(0, 1));
    visit("inverted_gamma", inverted_gamma, "gamma of the negative, then back", between(0, 1));
    visit("gamma", gamma, "values between the extremes to the power 0.7 to 1.5, mean and deviation kept",
          between(0, 1));
  }
};

/// Changes an image (C, spatial...) float32 contiguous in place. What is drawn depends on `random` only.
void augment_as_nnunet(const NnunetAugmentSettings& settings, torch::Tensor& image, Random& random);

}  // namespace mambaseg
