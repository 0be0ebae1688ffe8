#pragma once

#include "mambaseg/data/datasets.h"
#include "mambaseg/data/problems.h"

namespace mambaseg {

/// The cases of a BIDS tree, raw data and derivatives below one folder: one case for each sub-X or
/// sub-X_ses-Y. A file belongs to the case its name begins with and to the channel or mask its last word
/// names (sub-1_ses-1_dwi.nii.gz: dwi). ATLAS v2.0 and ISLES 2022 are such trees. What is missing or
/// ambiguous is added to `problems`.
std::vector<Case> read_bids(const DatasetSettings& settings, Problems& problems);

}  // namespace mambaseg
