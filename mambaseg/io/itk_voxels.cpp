#include "mambaseg/io/itk_voxels.h"

#include <gdcmTrace.h>
#include <itkImageIOBase.h>
#include <itkObject.h>

#include <mutex>

#include "mambaseg/core/error.h"
#include "mambaseg/io/formats.h"

namespace mambaseg {
namespace {

/// ITK's descriptions run over several lines and begin with the place in ITK's source.
std::string cause_of(const itk::ExceptionObject& error) {
  std::string text = error.GetDescription();
  if (const size_t at = text.find("): "); text.starts_with("ITK ERROR") && at != std::string::npos)
    text = text.substr(at + 3);
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
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

VoxelData read_itk_voxels(itk::ImageIOBase& reader) {
  const std::vector<int64_t> sizes = sizes_of(reader);
  const auto count = static_cast<size_t>(checked_voxel_count(sizes));
  require(reader.GetNumberOfComponents() == 1, "the voxels are ",
          itk::ImageIOBase::GetPixelTypeAsString(reader.GetPixelType()), " of ",
          reader.GetNumberOfComponents(), " numbers; expected one number a voxel");
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
