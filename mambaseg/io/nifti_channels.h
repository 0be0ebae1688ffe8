#pragma once

#include <string>
#include <vector>

#include "mambaseg/io/image.h"

namespace mambaseg {

// For channels.h: who calls them puts the path in front of errors.

/// The volumes of a 4-D NIfTI file, or the one volume of another.
std::vector<Image> read_nifti_channels(const std::string& path, const Warn& warn);
int64_t count_nifti_channels(const std::string& path);

}  // namespace mambaseg
