#pragma once

#include <string>
#include <vector>

#include "mambaseg/data/datasets.h"
#include "mambaseg/data/problems.h"

namespace mambaseg {

/// The layout of pictures (DatasetSettings) that `folder` has, or "".
std::string detect_picture_layout(const std::string& folder);

/// The cases of a folder of pictures, unsorted. `problems` gets a line for each picture without mask, mask
/// without picture, and name that occurs twice.
std::vector<Case> read_picture_dataset(const std::string& folder, const std::string& layout,
                                       Problems& problems);

/// "ISIC_0000000" for a mask called "ISIC_0000000_segmentation": the name of the picture that a mask belongs
/// to, without the endings _segmentation, _lesion and _mask by which datasets tell masks from pictures.
std::string picture_of_mask(const std::string& mask_stem);

}  // namespace mambaseg
