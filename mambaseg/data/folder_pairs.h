#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mambaseg/data/datasets.h"
#include "mambaseg/data/problems.h"

namespace mambaseg {

/// What a data set says of its own files.
struct DeclaredFiles {
  size_t channels = 0;  ///< of an image; 0: not said
  std::string ending;   ///< of images and labels, as ".nii.gz"; "": any
};

/// The images and labels of two folders, paired by name: labels NAME belong to the image NAME or to the
/// channels NAME_0000, NAME_0001, ... Unsorted. `problems` gets a line for each image without labels, labels
/// without image, missing channel, name that occurs twice, and link to nothing.
std::vector<Case> paired_folders(const std::filesystem::path& images, const std::filesystem::path& labels,
                                 const DeclaredFiles& declared, Problems& problems);

/// Notes the problem of a link that points to nothing. True when it is one.
bool note_dangling(const std::string& path, Problems& problems);

/// Notes the problem when a case has not as many files as there are channels. One file may hold them all:
/// a 4-D file, or a picture with colours.
void check_channels(const Case& one, const DeclaredFiles& declared, Problems& problems);

}  // namespace mambaseg
