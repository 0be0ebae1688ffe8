// NRRD and MetaImage through ITK's readers of the bare file, which keep the geometry of the header as it is.

#include <itkMetaImageIO.h>
#include <itkNrrdImageIO.h>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/itk_voxels.h"

namespace mambaseg {
namespace {

Image read_with(itk::ImageIOBase& reader, const std::string& path, Part part) {
  Image image;
  run_itk([&] {
    require(reader.CanReadFile(path.c_str()), "this is not a file of the format that its ending names");
    reader.SetFileName(path);
    reader.ReadImageInformation();
    image.geometry = itk_geometry(reader);
    if (part == Part::kVoxels) image.voxels = read_itk_voxels(reader);
  });
  return image;
}

itk::IOComponentEnum component_of(const VoxelData& voxels) {
  using Type = itk::IOComponentEnum;
  static constexpr std::array<Type, 10> kTypes{Type::UCHAR, Type::CHAR,  Type::USHORT,    Type::SHORT,
                                               Type::UINT,  Type::INT,   Type::ULONGLONG, Type::LONGLONG,
                                               Type::FLOAT, Type::DOUBLE};
  return kTypes[voxels.index()];
}

void write_with(itk::ImageIOBase& writer, const std::string& path, const Image& image) {
  const Affine& affine = image.geometry.voxel_to_ras_mm;
  const Vector3 spacing = image.geometry.spacing_mm();
  writer.SetNumberOfDimensions(3);
  itk::ImageIORegion region(3);
  for (unsigned axis = 0; axis < 3; ++axis) {
    writer.SetDimensions(axis, static_cast<size_t>(image.geometry.size[axis]));
    writer.SetSpacing(axis, spacing[axis]);
    writer.SetOrigin(axis, axis < 2 ? 0.0 - affine.offset[axis] : affine.offset[axis]);
    std::vector<double> direction(3);
    for (unsigned row = 0; row < 3; ++row)
      direction[row] = (row < 2 ? 0.0 - affine.matrix[row][axis] : affine.matrix[row][axis]) / spacing[axis];
    writer.SetDirection(axis, direction);
    region.SetSize(axis, static_cast<size_t>(image.geometry.size[axis]));
  }
  writer.SetIORegion(region);
  writer.SetPixelType(itk::IOPixelEnum::SCALAR);
  writer.SetNumberOfComponents(1);
  writer.SetComponentType(component_of(image.voxels));
  writer.UseCompressionOn();
  write_atomically(path, [&](const std::string& temporary) {
    run_itk([&] {
      writer.SetFileName(temporary);
      writer.Write(bytes_of(image.voxels).data());
    });
  });
}

}  // namespace

Image read_nrrd(const std::string& path, Part part, const Warn&) {
  return read_with(*itk::NrrdImageIO::New(), path, part);
}

void write_nrrd(const std::string& path, const Image& image) {
  write_with(*itk::NrrdImageIO::New(), path, image);
}

Image read_metaimage(const std::string& path, Part part, const Warn&) {
  return read_with(*itk::MetaImageIO::New(), path, part);
}

void write_metaimage(const std::string& path, const Image& image) {
  write_with(*itk::MetaImageIO::New(), path, image);
}

}  // namespace mambaseg
