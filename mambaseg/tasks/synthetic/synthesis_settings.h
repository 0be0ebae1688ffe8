#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mambaseg/config/config.h"
#include "mambaseg/tasks/synthetic/head_labels.h"

namespace mambaseg {

/// How images are drawn from label maps: the generative model of SynthSeg (Billot et al. 2023, "SynthSeg:
/// Segmentation of brain MRI scans of any contrast and resolution without retraining", doi
/// 10.1016/j.media.2023.102789), with priors for T1. Ranges are drawn from uniformly unless said otherwise.
struct SynthesisSettings {
  int64_t samples_per_case = 16;
  std::string place = "structures";
  double jitter_mm = 8;

  double flip = 0.5;
  double scaling = 0.2;
  double rotation_degrees = 15;
  double shear = 0.012;
  double elastic_strain = 0.15;
  std::vector<double> elastic_spacing_mm{16, 48};

  double t1 = 0.8;
  double t1_spread = 1.5;
  std::vector<double> t1_contrast{0.8, 1.25};
  std::vector<TissuePrior> tissues;
  double free_deviation = 0.1;
  std::vector<double> patches_mm{2.5, 6};
  double gamma = 0.25;
  double bias = 0.3;
  double bias_corrected = 0.3;
  double bias_spacing_mm = 70;

  std::vector<double> blur_voxels{0.25, 0.6};
  double thick_slices = 0.3;
  double slice_mm = 8;
  double large_voxels = 0.25;
  double voxel_mm = 2;
  double noise = 0.08;
  double rician = 0.5;

  double skull_stripped = 0.33;
  double strip_remnants = 0.3;
  double zero_background = 0.3;
  double neck_cut = 0.7;

  void describe(SettingsVisitor& visit) {
    visit("samples_per_case", samples_per_case, "samples that an epoch takes from a label map", at_least(1));
    visit("place", place,
          "centre of the patches: structures, that of the box around all classes of the plan; head, that of "
          "the "
          "whole label map",
          one_of({"structures", "head"}));
    visit("jitter_mm", jitter_mm, "largest distance from that centre along each axis", at_least(0));
    visit("flip", flip, "probability of an exchange of left and right, of image and labels", between(0, 1));
    visit("scaling", scaling,
          "edges are scaled by 1 - scaling to 1 + scaling, each axis by itself "
          "(SynthSeg: 0.2)",
          between(0, 0.5));
    visit("rotation_degrees", rotation_degrees, "largest angle about each axis (SynthSeg: 15)",
          between(0, 180));
    visit("shear", shear, "largest shear of one axis along another (SynthSeg: 0.012)", between(0, 0.5));
    visit("elastic_strain", elastic_strain,
          "elastic deformation: largest standard deviation of the change of lengths; 0.15: lengths change by "
          "15 %. From 0.2 on tissue may fold",
          between(0, 0.3));
    visit("elastic_spacing_mm", elastic_spacing_mm,
          "elastic deformation: smallest and largest distance between random displacements", at_least(4));
    visit("t1", t1,
          "probability of a T1-weighted contrast; else every tissue is given any brightness "
          "(SynthSeg: always the latter)",
          between(0, 1));
    visit("t1_spread", t1_spread,
          "T1: the range of each tissue about its most likely brightness is widened by this factor",
          at_least(0));
    visit("t1_contrast", t1_contrast,
          "T1: smallest and largest factor by which all of the brain differs more or less from white matter",
          at_least(0));
    visit("tissues", tissues, "T1: tissues whose priors replace the built-in ones of the same name");
    visit("free_deviation", free_deviation,
          "any brightness: largest standard deviation within a tissue, white to black being 1 (SynthSeg: "
          "35 / 255)",
          at_least(0));
    visit("patches_mm", patches_mm,
          "smallest and largest distance over which the brightness within a tissue varies", at_least(1));
    visit("gamma", gamma,
          "the brightness of each tissue is raised to exp(u), u in -gamma..gamma (SynthSeg: normal, standard "
          "deviation 0.4)",
          between(0, 1));
    visit("bias", bias,
          "bias field: largest standard deviation of its logarithm (SynthSeg: 0.7 of four nodes an axis, not "
          "smoothed)",
          at_least(0));
    visit("bias_corrected", bias_corrected, "probability of no bias field at all", between(0, 1));
    visit("bias_spacing_mm", bias_spacing_mm, "bias field: distance between random values", at_least(8));
    visit(
        "blur_voxels", blur_voxels,
        "smallest and largest standard deviation of the blur of what is measured, in voxels of the network; "
        "it makes borders soft",
        at_least(0));
    visit("thick_slices", thick_slices, "probability of slices along a random axis", between(0, 1));
    visit("slice_mm", slice_mm, "largest distance between them (SynthSeg: 9)", at_least(1));
    visit("large_voxels", large_voxels, "probability of voxels larger than those of the network",
          between(0, 1));
    visit("voxel_mm", voxel_mm, "their largest edge", at_least(1));
    visit("noise", noise, "largest standard deviation of the noise of a measured voxel, white matter being 1",
          at_least(0));
    visit("rician", rician, "probability of noise of a magnitude image (Rician); else normal", between(0, 1));
    visit("skull_stripped", skull_stripped, "probability that all but the brain is 0", between(0, 1));
    visit("strip_remnants", strip_remnants,
          "skull stripped: probability that remnants of what lies around the brain are left", between(0, 1));
    visit("zero_background", zero_background, "skull there: probability that the air around is 0",
          between(0, 1));
    visit("neck_cut", neck_cut,
          "probability that the image ends at a random height below the brain, 0 beyond", between(0, 1));
  }
};

}  // namespace mambaseg
