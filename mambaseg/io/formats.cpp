#include "mambaseg/io/formats.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/byte_file.h"
#include "mambaseg/io/dicom_outline.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {
namespace {

constexpr const char* kOtherPictures = "TIFF, GIF, WebP, JPEG 2000 or HEIC";

}  // namespace

std::span<const ImageFormat> image_formats() {
  static const std::vector<ImageFormat> list{
      {"NIfTI", {".nii", ".nii.gz"}, read_nifti, write_nifti},
      {"NIfTI pair", {".hdr"}, read_nifti, write_nifti},
      {"NIfTI pair (voxels)", {".img"}, read_nifti, nullptr},
      {"NIfTI pair, gzipped", {".hdr.gz", ".img.gz"}, read_nifti, nullptr},
      {"MGH", {".mgh", ".mgz", ".mgh.gz"}, read_mgh, write_mgh},
      {"NRRD", {".nrrd", ".seg.nrrd"}, read_nrrd, write_nrrd},  // .seg.nrrd: a segmentation of 3D Slicer
      {"NRRD with detached data", {".nhdr"}, read_nrrd, write_nrrd},
      {"MetaImage", {".mha"}, read_metaimage, write_metaimage},
      {"MetaImage with detached data", {".mhd"}, read_metaimage, write_metaimage},
      {"DICOM", {".dcm", ".ima"}, read_dicom, nullptr},
      {"PNG, JPEG or BMP picture", {".png", ".jpg", ".jpeg", ".bmp"}, read_grey_picture, nullptr},
      {kOtherPictures, {".tif", ".tiff", ".gif", ".webp", ".jp2", ".heic"}, nullptr, nullptr},
      {"gzipped DICOM", {".dcm.gz"}, nullptr, nullptr},
      {"MINC", {".mnc", ".mnc.gz", ".mnc2"}, nullptr, nullptr},
      {"AFNI", {".head", ".brik", ".brik.gz"}, nullptr, nullptr},
      {"Philips PAR/REC", {".par", ".rec"}, nullptr, nullptr},
  };
  return list;
}

const ImageFormat* format_of_name(const std::string& path) {
  const std::string name = lower_case(std::filesystem::path(path).filename().string());
  const ImageFormat* best = nullptr;
  size_t longest = 0;
  for (const ImageFormat& format : image_formats())
    for (const std::string& ending : format.endings)
      if (ending.size() > longest && name.size() > ending.size() && name.ends_with(ending)) {
        best = &format;
        longest = ending.size();
      }
  return best;
}

bool is_picture_name(const std::string& path) {
  const ImageFormat* format = format_of_name(path);
  return format != nullptr && format->read == read_grey_picture;
}

bool is_other_picture_name(const std::string& path) {
  const ImageFormat* format = format_of_name(path);
  return format != nullptr && format->name == kOtherPictures;
}

const ImageFormat* format_of_content(const std::string& path) {
  std::array<char, 352> bytes{};
  ByteReader file(path);
  file.read_some(bytes.data(), bytes.size());
  const auto at = [&bytes](size_t offset, const std::string& text) {
    return std::equal(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  };
  if (dicom_start(path)) return format_of_name("a.dcm");
  if (at(0, "NRRD0")) return format_of_name("a.nrrd");
  if (at(0, "\x89PNG") || at(0, "\xff\xd8\xff")) return format_of_name("a.png");
  if (at(344, "n+1") || at(4, "n+2")) return format_of_name("a.nii");
  return nullptr;
}

const ImageFormat& format_to_read(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  require(fs::exists(status), fs::is_symlink(fs::symlink_status(path, failed))
                                  ? concat("this link points to ", fs::read_symlink(path, failed).string(),
                                           ", which is not there")
                                  : "no such file");
  if (fs::is_directory(status)) return *format_of_name("a.dcm");
  require(fs::is_regular_file(status), "this is not a regular file");
  require(fs::file_size(path, failed) > 0, "the file is empty");
  const ImageFormat* format = format_of_name(path);
  if (format == nullptr) format = format_of_content(path);
  require(format != nullptr,
          "this is not an image of a known format (NIfTI, MGH/MGZ, NRRD, MetaImage, DICOM, PNG, JPEG, BMP)");
  require(format->read != nullptr, "files of the format ", format->name, " are not read here; ",
          is_other_picture_name(path) ? "save this one as PNG" : "convert this one to NIfTI first");
  return *format;
}

std::string sizes_text(std::span<const int64_t> sizes) {
  std::string text;
  for (const int64_t n : sizes) text += (text.empty() ? "" : "x") + std::to_string(n);
  return text;
}

int64_t checked_voxel_count(std::span<const int64_t> sizes) {
  int64_t count = 1;
  for (const int64_t n : sizes) {
    require(n >= 1, "the image has no voxels (size ", sizes_text(sizes), ")");
    require(n <= std::numeric_limits<int64_t>::max() / 64 / count, "the size ", sizes_text(sizes),
            " in the header is impossible");
    count *= n;
  }
  const bool more =
      std::any_of(sizes.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(3, sizes.size())), sizes.end(),
                  [](int64_t n) { return n > 1; });
  require(!more, "the image is ", sizes.size(), "-D (", sizes_text(sizes),
          "); expected one 3-D image, so take one volume out of it first");
  return count;
}

std::optional<double> mm_of_unit(const std::string& unit) {
  static const std::vector<std::pair<double, std::vector<std::string>>> kUnits{
      {1, {"", "mm", "millimeter", "millimetre", "millimeters", "millimetres"}},
      {10, {"cm", "centimeter", "centimetre", "centimeters", "centimetres"}},
      {1000, {"m", "meter", "metre", "meters", "metres"}},
      {1e-3,
       {"um", "\u00b5m", "\u03bcm", "\xb5m", "micron", "microns", "micrometer", "micrometre", "micrometers",
        "micrometres"}},
      {1e-6, {"nm", "nanometer", "nanometre", "nanometers", "nanometres"}}};
  const std::string small = lower_case(unit);
  for (const auto& [mm, names] : kUnits)
    if (std::find(names.begin(), names.end(), small) != names.end()) return mm;
  return std::nullopt;
}

VoxelData voxels_of_type(size_t type, size_t count) {
  VoxelData out;
  [&]<size_t... kType>(std::index_sequence<kType...>) {
    ((type == kType ? void(out.emplace<kType>(count)) : void()), ...);
  }
  (std::make_index_sequence<std::variant_size_v<VoxelData>>());
  return out;
}

VoxelData scaled(VoxelData voxels, double slope, double offset) {
  if (slope == 1 && offset == 0) return voxels;
  return std::visit(
      [slope, offset](const auto& in) -> VoxelData {
        std::vector<double> out(in.size());
        for (size_t i = 0; i < in.size(); ++i) out[i] = static_cast<double>(in[i]) * slope + offset;
        return out;
      },
      voxels);
}

std::span<const std::byte> bytes_of(const VoxelData& voxels) {
  return std::visit([](const auto& v) { return std::as_bytes(std::span(v)); }, voxels);
}

std::span<std::byte> bytes_of(VoxelData& voxels) {
  return std::visit([](auto& v) { return std::as_writable_bytes(std::span(v)); }, voxels);
}

void swap_bytes(std::span<std::byte> bytes, size_t size) {
  if (size < 2) return;
  for (auto at = bytes.begin(); at != bytes.end(); at += static_cast<std::ptrdiff_t>(size))
    std::reverse(at, at + static_cast<std::ptrdiff_t>(size));
}

}  // namespace mambaseg
