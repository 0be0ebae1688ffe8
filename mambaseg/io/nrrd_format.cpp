// NRRD through ITK's reader of the bare file, which keeps the geometry of the header as it is.

#include <itkMetaDataObject.h>
#include <itkNrrdImageIO.h>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/itk_io.h"

namespace mambaseg {
namespace {

itk::IOComponentEnum component_of(const VoxelData& voxels) {
  using Type = itk::IOComponentEnum;
  static constexpr std::array<Type, 10> kTypes{Type::UCHAR, Type::CHAR,  Type::USHORT,    Type::SHORT,
                                               Type::UINT,  Type::INT,   Type::ULONGLONG, Type::LONGLONG,
                                               Type::FLOAT, Type::DOUBLE};
  return kTypes[voxels.index()];
}

/// True when the header names its space by the patient; NRRD also knows files without, and scanner
/// coordinates.
bool has_patient_space(const itk::NrrdImageIO& reader) {
  std::string space;
  itk::ExposeMetaData<std::string>(reader.GetMetaDataDictionary(), "NRRD_space", space);
  return space.find("superior") != std::string::npos;
}

}  // namespace

Image read_nrrd(const std::string& path, Part part, const Warn& warn) {
  Image image;
  const auto read = [&] {
    const auto reader = itk::NrrdImageIO::New();
    require(reader->CanReadFile(path.c_str()), "this is not an NRRD file");
    reader->SetFileName(path);
    reader->ReadImageInformation();
    image.geometry = itk_geometry(*reader);
    if (warn && !has_patient_space(*reader))
      warn("the header does not place the axes in the patient; left, posterior and superior are taken");
    if (part == Part::kVoxels) image.voxels = read_itk_voxels(*reader);
  };
  with_context("the NRRD cannot be read", [&read] { run_itk(read); });
  return image;
}

void write_nrrd(const std::string& path, const Image& image) {
  const auto nrrd = itk::NrrdImageIO::New();
  itk::ImageIOBase& writer = *nrrd;
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
  const std::string bytes = with_context(path, [&] {
    return written_by_itk([&](const std::string& in_memory) {
      writer.SetFileName(in_memory);
      writer.Write(bytes_of(image.voxels).data());
    });
  });
  write_file_atomically(path, bytes);
}

}  // namespace mambaseg
