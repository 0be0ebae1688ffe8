#pragma once

#include <string>
#include <vector>

#include "mambaseg/core/volume.h"

namespace mambaseg {

/// One of the six structures of the demo, with its numbers on either side in AAL and FreeSurfer.
struct DemoStructure {
  const char* name;
  int32_t aal_left, aal_right;
  int32_t freesurfer_left, freesurfer_right;
};
const std::vector<DemoStructure>& demo_structures();

/// Colin27 (Holmes et al. 1998) and its AAL atlas (Tzourio-Mazoyer et al. 2002) from Debian's mricron-data,
/// cut in two at the midline: each half keeps the whole grid and has zeros on the other side (and on the
/// midline itself).
struct DemoBrain {
  Volume<float> left_image, right_image;
  Volume<int32_t> left_labels, right_labels;  ///< only the demo's structures, AAL numbers
  Volume<float> image;                        ///< the whole brain, for pictures
};

/// Reads ch2bet.nii.gz and aal.nii.gz from `folder`. Throws Error naming the package when they are missing.
DemoBrain read_demo_brain(const std::string& folder);

/// Colin27 with skull and skin.
struct DemoHead {
  std::string path;  ///< ch2.nii.gz
  Volume<float> image;
  Volume<int32_t> atlas;  ///< the demo's structures, with FreeSurfer's numbers
};

/// Reads ch2.nii.gz and aal.nii.gz from `folder`. Throws Error naming the package when they are missing.
DemoHead read_demo_head(const std::string& folder);

/// The trivial answer to "segment the right half": the labels of the left half mirrored at the midline, with
/// the numbers of the right side.
Volume<int32_t> mirrored_to_the_right(const Volume<int32_t>& left_labels);

/// Left numbers become right ones; other values stay.
void rename_to_right_side(Volume<int32_t>& labels);

}  // namespace mambaseg
