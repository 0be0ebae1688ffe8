#include "mambaseg/io/itk_io.h"

#include <gdcmTrace.h>
#include <itkImageIOBase.h>
#include <itkObject.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

#include "mambaseg/core/error.h"
#include "mambaseg/io/formats.h"

namespace mambaseg {
namespace {

/// The last part of ITK's description, which begins with places in its source and, for NRRD, names every
/// caller.
std::string cause_of(const itk::ExceptionObject& error) {
  std::string text = error.GetDescription();
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  if (text.starts_with("ITK ERROR") || text.starts_with("itk::ERROR"))
    if (const size_t at = text.find("): "); at != std::string::npos) text.erase(0, at + 3);
  if (const size_t at = text.rfind("[nrrd] "); at != std::string::npos) text.erase(0, at + 7);
  text.erase(0, text.find_first_not_of(' '));
  text.erase(text.find_last_not_of(' ') + 1);
  return text.empty() ? "ITK cannot read it" : text;
}

VoxelData empty_voxels(itk::ImageIOBase& reader, size_t count) {
  using Type = itk::IOComponentEnum;
  switch (reader.GetComponentType()) {
    case Type::UCHAR:
      return std::vector<uint8_t>(count);
    case Type::CHAR:
      return std::vector<int8_t>(count);
    case Type::USHORT:
      return std::vector<uint16_t>(count);
    case Type::SHORT:
      return std::vector<int16_t>(count);
    case Type::UINT:
      return std::vector<uint32_t>(count);
    case Type::INT:
      return std::vector<int32_t>(count);
    case Type::ULONG:
    case Type::ULONGLONG:
      return std::vector<uint64_t>(count);
    case Type::LONG:
    case Type::LONGLONG:
      return std::vector<int64_t>(count);
    case Type::FLOAT:
      return std::vector<float>(count);
    case Type::DOUBLE:
      return std::vector<double>(count);
    default:
      throw Error("the number type of the voxels is not known");
  }
}

std::vector<int64_t> sizes_of(itk::ImageIOBase& reader) {
  std::vector<int64_t> sizes;
  for (unsigned axis = 0; axis < reader.GetNumberOfDimensions(); ++axis)
    sizes.push_back(static_cast<int64_t>(reader.GetDimensions(axis)));
  return sizes;
}

}  // namespace

void run_itk(const std::function<void()>& action) {
  static std::once_flag silenced;
  std::call_once(silenced, [] {
    itk::Object::SetGlobalWarningDisplay(false);
    gdcm::Trace::WarningOff();
    gdcm::Trace::ErrorOff();
    gdcm::Trace::DebugOff();
  });
  try {
    action();
  } catch (const itk::ExceptionObject& error) {
    throw Error(cause_of(error));
  }
}

ReadableCopy::ReadableCopy(const std::string& bytes) : file_(memfd_create("mambaseg", MFD_CLOEXEC)) {
  require(file_ >= 0, "no file in memory: ", std::strerror(errno));
  std::ofstream out(path(), std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (out.fail()) close(file_);
  require(!out.fail(), "not enough memory for a copy of the file");
}

ReadableCopy::~ReadableCopy() { close(file_); }

std::string ReadableCopy::path() const { return concat("/proc/self/fd/", file_); }

void check_growth(itk::ImageIOBase& reader) {
  constexpr uint64_t kMost = 1 << 15;  // a black slice in JPEG 2000; deflate makes at most 1032 of one
  const auto file = static_cast<uint64_t>(std::filesystem::file_size(reader.GetFileName()));
  const auto announced = static_cast<uint64_t>(reader.GetImageSizeInBytes());
  require(announced / kMost <= file, "the file has ", file, " bytes, which cannot hold ", announced,
          " bytes of pixels");
}

VoxelData read_itk_voxels(itk::ImageIOBase& reader) {
  const std::vector<int64_t> sizes = sizes_of(reader);
  const auto count = static_cast<size_t>(checked_voxel_count(sizes));
  require(reader.GetNumberOfComponents() == 1, "the voxels are ",
          itk::ImageIOBase::GetPixelTypeAsString(reader.GetPixelType()), " of ",
          reader.GetNumberOfComponents(), " numbers; expected one number a voxel");
  check_growth(reader);
  VoxelData voxels = empty_voxels(reader, count);
  itk::ImageIORegion region(static_cast<unsigned>(sizes.size()));
  for (unsigned axis = 0; axis < sizes.size(); ++axis) {
    region.SetIndex(axis, 0);
    region.SetSize(axis, static_cast<size_t>(sizes[axis]));
  }
  reader.SetIORegion(region);
  reader.Read(bytes_of(voxels).data());
  return voxels;
}

Geometry itk_geometry(itk::ImageIOBase& reader) {
  const std::vector<int64_t> sizes = sizes_of(reader);
  checked_voxel_count(sizes);
  Geometry out;
  out.size = {1, 1, 1};
  const auto axes = static_cast<unsigned>(std::min<size_t>(3, sizes.size()));
  for (unsigned axis = 0; axis < axes; ++axis) {
    out.size[axis] = sizes[axis];
    const std::vector<double> direction = reader.GetDirection(axis);
    out.voxel_to_ras_mm.offset[axis] = reader.GetOrigin(axis);
    for (unsigned row = 0; row < 3; ++row)
      out.voxel_to_ras_mm.matrix[row][axis] = row < axes ? direction[row] * reader.GetSpacing(axis) : 0;
  }
  for (int row = 0; row < 2; ++row) {
    out.voxel_to_ras_mm.offset[row] = 0.0 - out.voxel_to_ras_mm.offset[row];
    for (double& value : out.voxel_to_ras_mm.matrix[row]) value = 0.0 - value;
  }
  return out;
}

}  // namespace mambaseg
