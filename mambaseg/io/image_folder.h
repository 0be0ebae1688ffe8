#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// What the files of a folder are looked at for.
enum class FolderOf { kImages, kLabels };

/// True when the name ends like a file that holds one whole image: every volume format that is read, but no
/// DICOM slice and no picture.
bool is_volume_name(const std::string& path);

/// The image files of a folder, sorted, links that point to nothing included: its volumes, or the pictures
/// where there are no volumes. Hidden files are passed over. Of NAME.hdr and NAME.img the header stands for
/// both. 3D Slicer's NAME.seg.nrrd holds the labels of NAME, so it is no image, and where labels are wanted
/// it comes before an image NAME.nrrd beside it. Nothing when there is no such folder.
std::vector<std::string> image_files(const std::string& folder, FolderOf what);

/// True for a symbolic link to something that is not there.
bool is_dangling_link(const std::string& path);

}  // namespace mambaseg
