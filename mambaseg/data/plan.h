#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mambaseg/config/config.h"
#include "mambaseg/data/intensity.h"
#include "mambaseg/data/label_settings.h"

namespace mambaseg {

/// What happens to an image before and after the network. Kept in the model file, so that training and
/// prediction cannot differ.
struct Plan : LabelSettings {
  std::string conform = "freesurfer";
  std::string orientation = "LIA";
  int64_t conform_order = 1;
  std::vector<double> spacing{1, 1, 1};
  std::string intensity = "robust";
  CtIntensities ct;
  int64_t rescale_passes = 1;
  bool crop_to_brain = true;
  int64_t crop_margin = 0;
  std::string plane = "none";
  int64_t slices = 7;
  std::vector<double> plane_weights{0.4, 0.4, 0.2};
  bool merge_sides = true;
  std::vector<int64_t> merged_classes;
  double base_resolution = 1;
  std::vector<int64_t> patch{96, 96, 96};
  std::string window = "fixed";
  int64_t step = 16;
  double step_fraction = 0.5;
  std::vector<int64_t> mirror;
  std::string unknown_labels = "background";
  std::string region = "brain";
  std::vector<int64_t> region_labels;

  /// Whether the network has two dimensions and sees slices with their neighbours as channels.
  bool in_slices() const { return plane != "none"; }

  void describe(SettingsVisitor& visit) {
    visit(
        "conform", conform,
        "freesurfer: resample to 256^3 voxels of 1 mm (FastSurfer's conform); millimetre: 1 mm voxels "
        "along the "
        "image's own axes, as many as it takes; none: keep the grid, only turn it; spacing: voxels of "
        "`spacing`, cubic for images and linear for each label, slices apart where they are thick (nnU-Net)",
        one_of({"freesurfer", "millimetre", "none", "spacing"}));
    visit("orientation", orientation,
          "array axes of the network's input, for example LIA (freesurfer is always LIA)");
    visit("conform_order", conform_order, "interpolation of conform: 1 linear, 3 cubic spline",
          between(1, 3));
    visit("spacing", spacing, "conform spacing: voxel edges in mm along the axes of `orientation`",
          at_least(1e-3));
    visit("intensity", intensity,
          "robust: FreeSurfer's rescale to 0..255 with the 99.9 % point, then / 255; zscore: mean 0, "
          "deviation 1 over non-zero voxels, zeros stay; zscore_all: over all voxels; ct: by the data set's "
          "intensities, setting `ct`; unit: 0 to 1",
          one_of({"robust", "zscore", "zscore_all", "ct", "unit"}));
    visit("ct", ct, "intensities of the foreground over a CT data set");
    visit("rescale_passes", rescale_passes,
          "2 repeats the robust rescale after conform freesurfer, as the code of the published weights does",
          between(1, 2));
    visit("crop_to_brain", crop_to_brain, "run only inside the box of non-zero voxels");
    visit("crop_margin", crop_margin, "voxels that the box keeps around it", at_least(0));
    visit("plane", plane,
          "none: the network sees patches of volumes; otherwise it has two dimensions and sees the slices of "
          "this plane with their neighbours as channels. `predict` puts models of several planes together",
          one_of({"none", "axial", "coronal", "sagittal"}));
    visit("slices", slices,
          "slices: how many are seen at a time, the one that is segmented in their middle; at the ends the "
          "first and the last are repeated",
          at_least(1));
    visit("plane_weights", plane_weights,
          "slices: weights of the scores of axial, coronal and sagittal models that predict together "
          "(FastSurfer)",
          at_least(0));
    visit("merge_sides", merge_sides,
          "plane sagittal: structures whose names differ in Left and Right are one class of the network, "
          "which counts for both");
    visit("merged_classes", merged_classes,
          "plane sagittal: the network's class for each of `classes`; empty: by their names", at_least(1));
    visit("base_resolution", base_resolution,
          "slices: mm a pixel at which a network with a grid of its own works (fastsurfer_vinn); it is told "
          "how that of each image differs",
          at_least(1e-3));
    visit("patch", patch, "patch edges in voxels, in array order; of slices rows and columns", at_least(1));
    visit("window", window,
          "patches at prediction. fixed: one at every multiple of `step`, all voxels count alike; gaussian: "
          "spread "
          "evenly, at most `step_fraction` of a patch apart, the middle of a patch counts most (nnU-Net)",
          one_of({"fixed", "gaussian"}));
    visit("step", step, "window fixed: voxels between neighbouring patches, at most the shortest patch edge",
          at_least(1));
    visit("step_fraction", step_fraction, "window gaussian: patches between neighbouring patches",
          between(0.01, 1));
    visit("mirror", mirror,
          "array axes along which each patch is also seen mirrored at prediction, the mean of all counts; "
          "along "
          "left and right structures whose names differ in Left and Right change their places",
          between(0, 2));
    LabelSettings::describe(visit);
    visit("unknown_labels", unknown_labels, "labels in no class: background, or error",
          one_of({"background", "error"}));
    visit("region", region,
          "brain: the whole image; labels: one patch around region_labels of an earlier stage (the "
          "hippocampal stage)",
          one_of({"brain", "labels"}));
    visit("region_labels", region_labels, "labels of the earlier stage that the patch is centred on");
  }
};

}  // namespace mambaseg
