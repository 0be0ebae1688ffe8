#pragma once

#include <vector>

#include "mambaseg/data/plan.h"

namespace mambaseg {

/// The 31 subcortical and cerebellar structures of MedSegMamba's first network (class 0 is background), with
/// their FreeSurfer numbers (FreeSurferColorLUT).
std::vector<LabelClass> freesurfer_subcortical_classes();

/// The 24 hippocampal subfields of its second network: 1000 (left) or 2000 (right) + FreeSurfer's FS60 code.
std::vector<LabelClass> freesurfer_hippocampal_classes();

/// FreeSurfer numbers of the left and the right hippocampus, the region of the second stage.
std::vector<int64_t> freesurfer_hippocampus_ids();

}  // namespace mambaseg
