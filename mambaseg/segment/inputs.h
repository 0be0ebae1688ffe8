#pragma once

#include <string>
#include <vector>

#include "mambaseg/core/progress.h"

namespace mambaseg {

/// An image to segment.
struct ImageToSegment {
  std::string name;  ///< its outputs are called so
  std::string path;  ///< a file, or a folder with a DICOM series
};

/// The images of all inputs, of one kind.
struct ImagesToSegment {
  std::string task;  ///< "volumes" or "pictures"
  std::vector<ImageToSegment> images;
};

/// The images that `inputs` stand for: picture files and folders of them, or everything that find_cases knows
/// (volume files, folders of them, FreeSurfer subjects and folders of subjects), and folders with a DICOM
/// series. Throws Error when there is none, both kinds, or two of one name.
ImagesToSegment find_images(const std::vector<std::string>& inputs, const Warn& warn = {});

}  // namespace mambaseg
