#pragma once

#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/config/config.h"
#include "mambaseg/core/geometry.h"
#include "mambaseg/core/random.h"
#include "mambaseg/data/plan.h"
#include "mambaseg/tasks/volumes/nnunet_augment.h"

namespace mambaseg {

/// Random changes of training patches. All are off by default.
struct AugmentSettings {
  std::vector<double> flip{0, 0, 0};
  std::vector<std::vector<std::string>> swap_classes;
  double spatial = 0;
  double rotation = 0;
  double scaling = 0;
  std::vector<double> scaling_range{0.7, 1.4};
  double scale_factor_noise = 0;
  double rotation_degrees = 15;
  double scale = 0.1;
  double elastic_voxels = 0;
  double elastic_spacing = 24;
  double intensity = 0;
  double brightness = 0.1;
  double contrast = 0.2;
  double gamma = 0.3;
  double noise = 0;
  NnunetAugmentSettings nnunet;

  void describe(SettingsVisitor& visit) {
    visit("flip", flip, "probability of a flip along each array axis", between(0, 1));
    visit("swap_classes", swap_classes,
          "pairs of class names that a flip along the left-right axis exchanges, as [[\"left x\", \"right "
          "x\"]]");
    visit("spatial", spatial, "probability of a rotation, scaling and elastic deformation", between(0, 1));
    visit("rotation", rotation, "probability of a rotation alone (nnU-Net: 0.2, by up to 30 degrees)",
          between(0, 1));
    visit("scaling", scaling, "probability of a scaling alone (nnU-Net: 0.2)", between(0, 1));
    visit("scaling_range", scaling_range, "smallest and largest factor of `scaling`", at_least(0.1));
    visit("rotation_degrees", rotation_degrees, "largest angle about each array axis", between(0, 180));
    visit("scale", scale, "edges are scaled by exp(u), u uniform in -scale..scale", between(0, 1));
    visit("elastic_voxels", elastic_voxels, "standard deviation of the random displacements, voxels",
          at_least(0));
    visit("elastic_spacing", elastic_spacing, "distance between the random displacements, voxels",
          at_least(2));
    visit("intensity", intensity, "probability of a change of brightness, contrast and gamma", between(0, 1));
    visit("brightness", brightness, "largest shift, in units of the image", at_least(0));
    visit("contrast", contrast, "values are multiplied by 1 + u, u uniform in -contrast..contrast",
          between(0, 1));
    visit("gamma", gamma, "values between the patch's extremes are raised to exp(u), u in -gamma..gamma",
          between(0, 2));
    visit("scale_factor_noise", scale_factor_noise,
          "slices: standard deviation of normal noise on what a network with a grid of its own is told of "
          "their resolution (plan.base_resolution)",
          at_least(0));
    visit("noise", noise, "largest standard deviation of added normal noise, in units of the image",
          at_least(0));
    visit("nnunet", nnunet, "probabilities of nnU-Net's changes of intensity");
  }
};

/// Where a patch looks: output voxel x (array index in the patch) shows the case at
///   start + c + M (x - c) + elastic(x),  c the centre of the patch.
struct PatchTransform {
  std::array<bool, 3> flip{false, false, false};
  bool resample = false;  ///< false: `matrix` is the identity and there is no elastic part
  std::array<Vector3, 3> matrix{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  Index3 elastic_size{0, 0, 0};  ///< control points an axis, 0: none
  std::vector<Vector3> elastic;  ///< displacements, last axis fastest
};

/// What a transform leaves as it is.
enum class TransformOf {
  volumes,  ///< nothing
  slices,   ///< the last axis, but for flips: all slices of a patch move alike
};

/// Draws flips, rotation, scaling and displacements.
PatchTransform draw_transform(const AugmentSettings& settings, const Index3& patch, Random& random,
                              TransformOf what = TransformOf::volumes);

/// Changes brightness, contrast, gamma and adds noise in place, image (C, i, j, k) float32 contiguous. Voxels
/// that are 0 (outside the brain) stay 0.
void augment_intensity(const AugmentSettings& settings, torch::Tensor& image_CIJK, Random& random);

/// Class numbers after a flip along the left-right axis: entry k is what class k becomes. UsageError on
/// unknown names.
std::vector<int64_t> swap_table(const AugmentSettings& settings, const Plan& plan);
/// The same for every class number that a byte holds; those without a class stay.
std::vector<int64_t> swap_of_every_class(const AugmentSettings& settings, const Plan& plan);

}  // namespace mambaseg
