// DICOM through GDCM: a folder with one series, or one file. Slices are placed by their ImagePositionPatient
// alone.

#include <itkGDCMImageIO.h>
#include <itkMetaDataObject.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "mambaseg/core/error.h"
#include "mambaseg/io/dicom_outline.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/itk_io.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// The files of the one series of a folder. Throws Error listing the series when there are several.
std::vector<std::string> files_of_series(const std::string& folder) {
  std::map<std::string, std::vector<std::string>> series;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (!entry.is_regular_file() || !has_dicom_mark(path)) continue;
    const DicomOutline outline = with_context(path, [&path] { return outline_dicom(path); });
    if (outline.has_pixels) series[outline.series].push_back(path);
  }
  require(!series.empty(), "the folder holds no DICOM series");
  std::string list;
  for (auto& [uid, files] : series) {
    std::sort(files.begin(), files.end());
    list += concat(list.empty() ? "" : ", ", uid, " (", files.size(), " files, first ",
                   fs::path(files.front()).filename().string(), ")");
  }
  require(series.size() == 1, "the folder holds ", series.size(),
          " DICOM series; put the one to read into a folder of its own: ", list);
  return series.begin()->second;
}

struct Slice {
  std::string path;
  Image image;
  double along_normal = 0;
};

Vector3 column(const Affine& affine, int axis) {
  return {affine.matrix[0][axis], affine.matrix[1][axis], affine.matrix[2][axis]};
}

Vector3 minus(const Vector3& a, const Vector3& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }

double length(const Vector3& a) { return std::hypot(a[0], a[1], a[2]); }

/// GDCM takes 1 mm where SpacingBetweenSlices is missing; a slice alone is as thick as its header says.
void set_thickness(const itk::GDCMImageIO& reader, Affine& affine) {
  std::string spacing, thickness;
  itk::ExposeMetaData<std::string>(reader.GetMetaDataDictionary(), "0018|0088", spacing);
  itk::ExposeMetaData<std::string>(reader.GetMetaDataDictionary(), "0018|0050", thickness);
  const double mm = std::atof(thickness.c_str());
  const double now = length(column(affine, 2));
  if (!spacing.empty() || !(mm > 0) || !(now > 0)) return;
  for (auto& row : affine.matrix) row[2] *= mm / now;
}

Slice read_file(const std::string& path, Part part) {
  require(has_dicom_mark(path), "this is not a DICOM file (the mark DICM is missing)");
  require(outline_dicom(path).has_pixels,
          "this DICOM file holds no pixels");  // GDCM ends the program on some damage
  const auto reader = itk::GDCMImageIO::New();
  require(reader->CanReadFile(path.c_str()), "GDCM does not know this DICOM file as an image");
  reader->SetFileName(path);
  reader->ReadImageInformation();
  Slice slice{path, {}, 0};
  slice.image.geometry = itk_geometry(*reader);
  if (part == Part::kVoxels)
    slice.image.voxels = read_itk_voxels(*reader);  // rescaled by slope and intercept
  Affine& affine = slice.image.geometry.voxel_to_ras_mm;
  if (slice.image.geometry.size[2] == 1) set_thickness(*reader, affine);
  const Vector3 x = column(affine, 0), y = column(affine, 1), &at = affine.offset;
  const Vector3 normal{x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]};
  require(length(normal) > 0, "the axes of the slice are not independent");
  slice.along_normal = (at[0] * normal[0] + at[1] * normal[1] + at[2] * normal[2]) / length(normal);
  return slice;
}

/// Throws Error unless the sorted slices are parallel, of one size, and evenly spaced; returns the step
/// between two.
Vector3 step_between(const std::vector<Slice>& slices, const Warn& warn) {
  const Geometry& first = slices.front().image.geometry;
  const Affine& origin = first.voxel_to_ras_mm;
  Vector3 step = minus(slices.back().image.geometry.voxel_to_ras_mm.offset, origin.offset);
  for (double& s : step) s /= static_cast<double>(slices.size() - 1);
  double worst = 0;
  for (size_t k = 0; k < slices.size(); ++k) {
    const Geometry& here = slices[k].image.geometry;
    const Affine& affine = here.voxel_to_ras_mm;
    require(here.size == first.size && here.size[2] == 1, slices[k].path, " has ", describe(here), ", but ",
            slices.front().path, " has ", describe(first));
    for (int axis = 0; axis < 2; ++axis)
      require(length(minus(column(affine, axis), column(origin, axis))) < 1e-3 * length(column(origin, axis)),
              slices[k].path, " lies at another angle or has another spacing than ", slices.front().path);
    require(k == 0 || slices[k].along_normal - slices[k - 1].along_normal > 1e-3, slices[k - 1].path, " and ",
            slices[k].path, " lie at the same place: the series is more than one volume");
    Vector3 expected = origin.offset;
    for (int axis = 0; axis < 3; ++axis) expected[axis] += static_cast<double>(k) * step[axis];
    worst = std::max(worst, length(minus(affine.offset, expected)));
  }
  require(worst <= 0.1 * length(step), "the ", slices.size(), " slices are not evenly spaced (", worst,
          " mm off a spacing of ", length(step), " mm); a slice may be missing");
  if (warn && worst > 0.01 * length(step))
    warn(concat("the slices are not quite evenly spaced (up to ", worst, " mm off); even spacing is taken"));
  return step;
}

VoxelData joined(const std::vector<Slice>& slices) {
  const VoxelData& first = slices.front().image.voxels;
  const bool one_type = std::all_of(slices.begin(), slices.end(), [&first](const Slice& slice) {
    return slice.image.voxels.index() == first.index();
  });
  VoxelData out = std::vector<double>();
  if (one_type) std::visit([&out](const auto& v) { out = std::decay_t<decltype(v)>(); }, first);
  for (const Slice& slice : slices)
    std::visit([](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); }, out,
               slice.image.voxels);
  return out;
}

Image read_series(const std::string& folder, Part part, const Warn& warn) {
  std::vector<Slice> slices;
  for (const std::string& path : files_of_series(folder))
    slices.push_back(with_context(path, [&] { return read_file(path, part); }));
  if (slices.size() == 1) return std::move(slices.front().image);
  std::stable_sort(slices.begin(), slices.end(),
                   [](const Slice& a, const Slice& b) { return a.along_normal < b.along_normal; });
  Image image;
  image.geometry = slices.front().image.geometry;
  const Vector3 step = step_between(slices, warn);
  image.geometry.size[2] = static_cast<int64_t>(slices.size());
  for (int row = 0; row < 3; ++row) image.geometry.voxel_to_ras_mm.matrix[row][2] = step[row];
  if (part == Part::kVoxels) image.voxels = joined(slices);
  return image;
}

}  // namespace

Image read_dicom(const std::string& path, Part part, const Warn& warn) {
  Image image;
  run_itk([&] {
    image = fs::is_directory(path) ? read_series(path, part, warn) : std::move(read_file(path, part).image);
  });
  return image;
}

}  // namespace mambaseg
