#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "mambaseg/core/progress.h"
#include "mambaseg/core/volume.h"

namespace mambaseg {

/// Voxel values in the number type of the file.
using VoxelData =
    std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
                 std::vector<uint32_t>, std::vector<int32_t>, std::vector<uint64_t>, std::vector<int64_t>,
                 std::vector<float>, std::vector<double>>;

/// A scalar 3-D image as its file holds it. A header scaling other than slope 1, offset 0 has been applied
/// (the values are then double).
struct Image {
  Geometry geometry;
  VoxelData voxels;  ///< geometry.voxel_count() values, i fastest
  double step = 0;   ///< between neighbouring values: the slope of a header scaling; 0: none was applied
};

/// Reads a scalar 3-D image of any known format (formats.h), or a folder that holds one DICOM series. A 4-D
/// file whose fourth size is 1 counts as 3-D. Throws Error naming the path for: missing, empty, truncated,
/// unknown format, 4-D, RGB, complex, no voxels. `warn` gets a line for headers that are read with a repair
/// (non-orthonormal axes, ...).
Image read_image(const std::string& path, const Warn& warn = {});

/// read_image, as float. Throws Error when a voxel is NaN or infinite, with the count.
Volume<float> read_volume(const std::string& path, const Warn& warn = {});

/// read_image, as whole numbers. Values up to 0.001 off a whole number are rounded, as are those of a file
/// whose header scales in steps of half or less, up to half a step: writers such as nibabel spread labels so
/// over the type of the file. Throws Error naming the value when one is further off or does not fit.
Volume<int32_t> read_labels(const std::string& path, const Warn& warn = {});

/// Geometry only, without reading voxels where the format allows it.
Geometry read_geometry(const std::string& path, const Warn& warn = {});

/// Writes in the format of the file name. The data are written under a temporary name in the same folder and
/// renamed, so a reader never sees half a file. Throws Error naming the path.
void write_image(const std::string& path, const Image& image);
void write_volume(const std::string& path, const Volume<float>& volume);
/// Labels go to the smallest of uint8, int16, int32 that holds them.
void write_labels(const std::string& path, const Volume<int32_t>& labels);

/// True when the name ends like a volume that both read_image and write_image know (.nii.gz, .mgz, .mhd,
/// ...). A pair goes by the name of its header; pictures, DICOM slices and the voxel files of pairs are no
/// image names.
bool is_image_name(const std::string& path);

/// The endings of is_image_name, for messages: ".nii, .nii.gz, ...".
std::string image_endings_text();

/// "hippocampus_001" for "/data/hippocampus_001.nii.gz": the file name without its image ending, of which
/// ".nii.gz" and Slicer's ".seg.nrrd" are one each.
std::string image_stem(const std::string& path);

}  // namespace mambaseg
