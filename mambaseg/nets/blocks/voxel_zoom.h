#pragma once

#include <string>

#include "mambaseg/nets/layers/layer.h"

namespace mambaseg {

struct ZoomSettings {
  std::string interpolation = "bilinear";  ///< or "bicubic"
  /// Where a crop lies and what an image smaller than the target is put against: "top_left", "top_right",
  /// "bottom_left", "bottom_right" or "center".
  std::string crop_position = "top_left";
};

struct ZoomedImages {
  torch::Tensor images_BCYX;
  torch::Tensor factors_B2;  ///< what the pixels really grew by, after rounding to whole pixels
};

/// Images of different resolutions on one grid of `target` rows and columns (the voxel-size independent
/// network of Henschel et al. 2022): each is cropped to target * factor pixels and resized to the target;
/// where it has fewer, it is resized by the factor and padded with zeros. factors (B, 2): along rows and
/// columns, fp32. As in FastSurfer's Zoom2d, products of fp32 cut to whole numbers decide the sizes.
/// Differentiable in x.
ZoomedImages zoomed(const torch::Tensor& x_BCYX, const Extent& target, const torch::Tensor& factors_B2,
                    const ZoomSettings& settings);

}  // namespace mambaseg
