#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// One class of a network: the label numbers of the files that belong to it (the first is written on output).
struct LabelClass {
  std::string name;
  std::vector<int64_t> ids;
  template <class Visitor>
  void describe(Visitor& visit) {
    visit("name", name, "name of the structure");
    visit("ids", ids, "label numbers in the files that belong to this class; the first is written on output");
  }
};

/// What happens to an image before and after the network. Kept in the model file, so that training and
/// prediction cannot differ.
struct Plan {
  std::string conform = "freesurfer";
  std::string orientation = "LIA";
  int64_t conform_order = 1;
  std::string intensity = "robust";
  int64_t rescale_passes = 1;
  bool crop_to_brain = true;
  std::vector<int64_t> patch{96, 96, 96};
  int64_t step = 16;
  std::vector<LabelClass> classes;
  std::string unknown_labels = "background";
  std::string region = "brain";
  std::vector<int64_t> region_labels;

  template <class Visitor>
  void describe(Visitor& visit) {
    visit("conform", conform,
          "freesurfer: resample to 256^3 voxels of 1 mm (FastSurfer's conform); millimetre: 1 mm voxels "
          "along the "
          "image's own axes, as many as it takes; none: keep the grid, only turn it",
          one_of({"freesurfer", "millimetre", "none"}));
    visit("orientation", orientation,
          "array axes of the network's input, for example LIA (freesurfer is always LIA)");
    visit("conform_order", conform_order, "interpolation of conform: 1 linear, 3 cubic spline",
          between(1, 3));
    visit("intensity", intensity,
          "robust: FreeSurfer's rescale to 0..255 with the 99.9 % point, then / 255; zscore: mean 0, "
          "deviation 1 over "
          "non-zero voxels",
          one_of({"robust", "zscore"}));
    visit("rescale_passes", rescale_passes,
          "2 repeats the robust rescale after conform freesurfer, as the code of the published weights does",
          between(1, 2));
    visit("crop_to_brain", crop_to_brain, "run only inside the box of non-zero voxels");
    visit("patch", patch, "patch edges in voxels, in array order", at_least(1));
    visit("step", step, "voxels between neighbouring patches at prediction, at most the shortest patch edge",
          at_least(1));
    visit("classes", classes,
          "class 1, 2, ... of the network (0 is background); empty: files hold the class numbers themselves");
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
