#pragma once

#include <vector>

#include "mambaseg/core/progress.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/data/plan.h"

namespace mambaseg {

/// What the planner wants to know of one case: its box of non-zero voxels, on axes turned to
/// Plan::orientation.
struct CaseFingerprint {
  std::string id;
  std::vector<int64_t> size;
  std::vector<double> spacing_mm;
  void describe(SettingsVisitor& visit) {
    visit("id", id, "case");
    visit("size", size, "voxels of the box of non-zero voxels");
    visit("spacing_mm", spacing_mm, "voxel edges");
  }
};

/// Intensities of one channel in the labelled voxels of all cases (a seeded sample of each case).
struct ChannelFingerprint {
  double mean = 0, deviation = 0, low = 0, median = 0, high = 0;
  void describe(SettingsVisitor& visit) {
    visit("mean", mean, "mean");
    visit("deviation", deviation, "standard deviation");
    visit("low", low, "0.5 % point");
    visit("median", median, "median");
    visit("high", high, "99.5 % point");
  }
};

/// What a data set is like (nnU-Net's fingerprint): all that a plan is made from.
struct Fingerprint {
  std::vector<CaseFingerprint> cases;
  std::vector<ChannelFingerprint> channels;
  std::vector<double> class_voxels;
  void describe(SettingsVisitor& visit) {
    visit("cases", cases, "sizes and spacings");
    visit("channels", channels, "intensities of the labelled voxels, for each image channel");
    visit("class_voxels", class_voxels, "voxels of background and of each class (or region), in all cases");
  }
};

/// The fingerprint, and lists for a person: what is wrong with the data, and what may be meant.
struct Inspection {
  Fingerprint fingerprint;
  std::vector<std::string> problems;
  std::vector<std::string> warnings;  ///< classes that no case holds, label numbers taken as background
};

/// Reads every case once, as many at a time as `workers` allow. Throws Error for a plan that makes no sense,
/// and whatever ends a worker (no memory). Problems: files that cannot be read, a channel or the labels on
/// another grid, voxels that are NaN or infinite, labels in no class of the plan, labels that are no whole
/// numbers, images without a non-zero voxel or with one value only, no label of any class in any case, and
/// one image under two ids.
Inspection inspect_cases(const std::vector<Case>& cases, const Plan& plan, const Workers& workers,
                         const Progress& progress = {});

}  // namespace mambaseg
