#pragma once

#include <string>

#include "mambaseg/core/volume.h"

namespace mambaseg {

/// write_labels; into NIfTI with `comment`, for example what the numbers mean, as a header extension (code 6,
/// plain text, which nibabel, FSL's and other readers keep or skip). Other formats have no place for it.
void write_labels_with_comment(const std::string& path, const Volume<int32_t>& labels,
                               const std::string& comment);

}  // namespace mambaseg
