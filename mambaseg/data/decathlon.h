#pragma once

#include <filesystem>
#include <vector>

#include "mambaseg/data/datasets.h"
#include "mambaseg/data/problems.h"

namespace mambaseg {

/// The cases of a folder with dataset.json, of the Medical Segmentation Decathlon or of nnU-Net 1 or 2:
/// those of its list `dataset` (nnU-Net 2: images and label of every case, anywhere); of its list `training`
/// where that pairs other names or imagesTr is missing; else of imagesTr/ and labelsTr/ by name, files with
/// `file_ending` only. The channels are counted in `channel_names` or `modality`, each a map or a list.
std::vector<Case> read_decathlon(const std::filesystem::path& folder, Problems& problems);

}  // namespace mambaseg
