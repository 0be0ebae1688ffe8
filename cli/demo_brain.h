#pragma once

#include <string>
#include <vector>

#include "mambaseg/core/volume.h"

namespace mambaseg {

/// One of the six structures of the demo, with its AAL numbers on either side.
struct DemoStructure {
  const char* name;
  int32_t left_id;
  int32_t right_id;
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

/// The trivial answer to "segment the right half": the labels of the left half mirrored at the midline, with
/// the numbers of the right side.
Volume<int32_t> mirrored_to_the_right(const Volume<int32_t>& left_labels);

/// Left numbers become right ones; other values stay.
void rename_to_right_side(Volume<int32_t>& labels);

}  // namespace mambaseg
