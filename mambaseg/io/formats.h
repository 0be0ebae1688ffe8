#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mambaseg/io/image.h"

namespace mambaseg {

enum class Part { kGeometry, kVoxels };  ///< what a reader shall read; with kGeometry voxels may stay empty

/// A file format. Readers and writers throw Error with the cause; who calls them puts the path in front. A
/// writer writes atomically.
struct ImageFormat {
  const char* name;
  std::vector<std::string> endings;  ///< in small letters, for example ".nii.gz"
  Image (*read)(const std::string& path, Part part, const Warn& warn);  ///< null: known by name only, refused
  void (*write)(const std::string& path, const Image& image);           ///< null: cannot be written
};

/// Every format (formats.cpp).
std::span<const ImageFormat> image_formats();

/// The format whose ending the name has (the longest counts, capitals do not matter), or nullptr.
const ImageFormat* format_of_name(const std::string& path);

/// The format of a file without a known ending, by its first bytes, or nullptr.
const ImageFormat* format_of_content(const std::string& path);

/// The format with which read_image reads a file or folder. Throws Error with the cause when there is none.
const ImageFormat& format_to_read(const std::string& path);

Image read_nifti(const std::string& path, Part part, const Warn& warn);
void write_nifti(const std::string& path, const Image& image);
/// In the smallest type that holds them; with `comment`, unless it is empty, as a header extension (code 6,
/// "comment", plain text, which readers that do not know it skip).
void write_nifti_labels(const std::string& path, const Volume<int32_t>& labels, const std::string& comment);
Image read_mgh(const std::string& path, Part part, const Warn& warn);
void write_mgh(const std::string& path, const Image& image);

Image read_metaimage(const std::string& path, Part part, const Warn& warn);
void write_metaimage(const std::string& path, const Image& image);

Image read_nrrd(const std::string& path, Part part, const Warn& warn);
void write_nrrd(const std::string& path, const Image& image);

// Through ITK, or refused by no_itk.cpp.
Image read_dicom(const std::string& path, Part part,
                 const Warn& warn);  ///< a file, or a folder with one series
Image read_grey_picture(const std::string& path, Part part, const Warn& warn);

// For readers.

/// The product of the sizes. Throws Error when a size is below 1 or the product is out of reach; `sizes` may
/// have more than three entries, then all after the third must be 1.
int64_t checked_voxel_count(std::span<const int64_t> sizes);
/// "128x96x24x2"
std::string sizes_text(std::span<const int64_t> sizes);
/// mm of one "mm", "cm", "um", "micrometer", ...; 1 of "", nothing of a unit that is not known.
std::optional<double> mm_of_unit(const std::string& unit);
/// `count` zeros of the number type with this place in VoxelData.
VoxelData voxels_of_type(size_t type, size_t count);
/// values * slope + offset in double, or the voxels as they are when slope is 1 and offset 0.
VoxelData scaled(VoxelData voxels, double slope, double offset);
/// The bytes of the voxels.
std::span<const std::byte> bytes_of(const VoxelData& voxels);
std::span<std::byte> bytes_of(VoxelData& voxels);
/// Reverses the bytes of each value of `size` bytes.
void swap_bytes(std::span<std::byte> bytes, size_t size);

}  // namespace mambaseg
