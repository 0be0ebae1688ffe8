#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// How bright a tissue is in a T1-weighted image, cerebral white matter being 1, and how its voxels vary.
struct TissuePrior {
  std::string name;
  double low = 0;  ///< smallest, middle and largest of the tissue's medians in people's scans
  double median = 0;
  double high = 0;
  double grain = 0;    ///< standard deviation from voxel to voxel
  double patches = 0;  ///< standard deviation over a few millimetres

  void describe(SettingsVisitor& visit) {
    visit("name", name, "name of the tissue");
    visit("low", low, "T1: smallest brightness, white matter being 1", at_least(0));
    visit("median", median, "T1: most likely brightness", at_least(0));
    visit("high", high, "T1: largest brightness", at_least(0));
    visit("grain", grain, "standard deviation from voxel to voxel", at_least(0));
    visit("patches", patches, "standard deviation over a few millimetres", at_least(0));
  }
};

/// Where a tissue lies: what is left of a head when the skull is taken away.
enum class TissuePlace { air, brain, fluid, head };

struct HeadTissue {
  TissuePrior prior;
  TissuePlace place = TissuePlace::air;
};

/// The tissues of a head; 0 is air.
const std::vector<HeadTissue>& head_tissues();

/// A label number of FreeSurfer (aseg, aparc+aseg), or of the label maps that SynthSeg was trained on, which
/// add SAMSEG's numbers from 500 on for what lies outside the brain.
struct HeadLabel {
  int64_t number = 0;
  int64_t mirrored = 0;  ///< the same structure on the other side; itself in the middle
  int tissue = 0;        ///< index into head_tissues
};

/// At most 256; 0 is background.
const std::vector<HeadLabel>& head_labels();

/// Index into head_labels, -1 when the number is none of them.
int head_label_index(int64_t number);

/// Index into head_tissues. UsageError on another name.
int head_tissue_index(const std::string& name);

}  // namespace mambaseg
