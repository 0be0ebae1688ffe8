#pragma once

#include <string>
#include <vector>

#include "mambaseg/io/image.h"

namespace mambaseg {

/// How often a value occurs in an image of whole numbers.
struct LabelCount {
  int64_t value = 0;
  int64_t voxels = 0;
  double volume_mm3 = 0;
};

/// What a person wants to know of an image file before using it.
struct ImageSummary {
  std::string format;       ///< name of the file format
  std::string number_type;  ///< of the voxels after the header's scaling: "uint8", ..., "double"
  Geometry geometry;
  int64_t not_finite = 0;  ///< NaN and infinite voxels, which the next three leave out
  double minimum = 0, maximum = 0, mean = 0;
  /// For images of whole numbers with at most 300 different values: those values, ascending; else empty.
  std::vector<LabelCount> labels;
};

/// Reads `path` and sums it up. Throws Error as read_image.
ImageSummary summarise_image(const std::string& path, const Warn& warn = {});

}  // namespace mambaseg
