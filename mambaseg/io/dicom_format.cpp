// DICOM through GDCM: a folder with one series, or one file. Slices are placed by their ImagePositionPatient
// alone.

#include <itkGDCMImageIO.h>
#include <itkMetaDataObject.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/dicom_outline.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/itk_io.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// Objects that hold pixels and are no images.
constexpr std::array<std::pair<const char*, const char*>, 4> kNoImages{
    {{"1.2.840.10008.5.1.4.1.1.66.4", "a DICOM segmentation, which is not read"},
     {"1.2.840.10008.5.1.4.1.1.66.7", "a DICOM label map, which is not read"},
     {"1.2.840.10008.5.1.4.1.1.30", "a DICOM parametric map, which is not read"},
     {"1.2.840.10008.5.1.4.1.1.481.2", "a radiotherapy dose, whose scale is not applied here"}}};

constexpr size_t kMostListed = 12;

struct FoundFile {
  std::string path;
  DicomOutline outline;
};

/// The files with pixels of one folder, or of all folders below, by series.
template <class Iterator>
std::map<std::string, std::vector<FoundFile>> series_in(const std::string& folder, int64_t& without_pixels) {
  std::map<std::string, std::vector<FoundFile>> series;
  for (const fs::directory_entry& entry : Iterator(folder, fs::directory_options::skip_permission_denied)) {
    const std::string path = entry.path().string();
    if (!entry.is_regular_file() || !dicom_start(path)) continue;
    DicomOutline outline =
        with_context(fs::relative(path, folder).string(), [&] { return outline_dicom(path); });
    if (!outline.has_pixels) {
      ++without_pixels;
      continue;
    }
    auto& files = series[outline.series];
    files.push_back({path, std::move(outline)});
  }
  for (auto& [uid, files] : series)
    std::sort(files.begin(), files.end(), [](const auto& x, const auto& y) { return x.path < y.path; });
  return series;
}

/// The files of the one series of a folder or, where the folder itself holds none, of the folders below it.
/// Throws Error listing the series when there are several.
std::vector<FoundFile> files_of_series(const std::string& folder) {
  int64_t without_pixels = 0;
  auto series = series_in<fs::directory_iterator>(folder, without_pixels);
  if (series.empty()) {  // a CD has a DICOMDIR at the top and the slices in folders below
    without_pixels = 0;
    series = series_in<fs::recursive_directory_iterator>(folder, without_pixels);
  }
  require(!series.empty(), "neither this folder nor those below it hold DICOM images",
          without_pixels > 0 ? concat(" (", without_pixels, " DICOM files without pixels, such as DICOMDIR)")
                             : "");
  std::string list;
  size_t listed = 0;
  for (const auto& [uid, files] : series) {
    if (++listed > kMostListed) continue;
    const DicomOutline& first = files.front().outline;
    list += concat(list.empty() ? "" : ", ", uid, " (",
                   first.series_words.empty() ? "" : concat("\"", first.series_words, "\", "), files.size(),
                   " files, first ", fs::relative(files.front().path, folder).string(), ")");
  }
  if (series.size() > kMostListed) list += concat(" and ", series.size() - kMostListed, " more");
  require(series.size() == 1, "the folder holds ", series.size(),
          " DICOM series; put the one to read into a folder of its own: ", list);
  return series.begin()->second;
}

/// One slice: of a file of its own, or a frame of a file of several.
struct Slice {
  std::string name;  ///< for messages
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

/// Refuses files whose numbers GDCM would give otherwise than they are meant.
void check_is_image(const DicomOutline& outline) {
  require(outline.has_pixels, "this DICOM file holds no pixels");
  for (const auto& [uid, words] : kNoImages)
    require(outline.object != uid, "this is ", words, "; convert it to NIfTI first");
  const std::string& colours = outline.photometric;
  require(outline.is_packed || colours.empty() || colours.starts_with("MONOCHROME"),
          "the pixels are colours (", colours, "); expected one grey value a pixel");
  require(outline.lookup_table.empty() || !outline.slopes.empty(),
          "a table (Modality LUT) gives the pixels their values, which is not applied here; convert it to "
          "NIfTI first");
  std::set<std::string> slopes, intercepts;
  for (const std::string& value : outline.slopes)
    (value.starts_with("slope") ? slopes : intercepts).insert(value);
  require(
      slopes.size() <= 1 && intercepts.size() <= 1,
      "the frames of this file have different rescale slopes or intercepts, which is not read; convert it to "
      "NIfTI first, for example with dcm2niix");
  require(outline.bits_stored == 0 || outline.high_bit < 0 || outline.high_bit == outline.bits_stored - 1,
          "the ", outline.bits_stored, " bits of a pixel end at bit ", outline.high_bit,
          " (HighBit), expected ", outline.bits_stored - 1,
          "; convert it to NIfTI first, for example with dcm2niix");
}

/// The syntax as far as GDCM might not know it.
std::string advice(const DicomOutline& outline) {
  return concat(" (transfer syntax ", outline.transfer_syntax.empty() ? "not given" : outline.transfer_syntax,
                "); if its pixels are compressed, decompress the file first, for example with dcmdjpeg or "
                "gdcmconv --raw");
}

void set_along_normal(Slice& slice) {
  const Affine& affine = slice.image.geometry.voxel_to_ras_mm;
  const Vector3 x = column(affine, 0), y = column(affine, 1), &at = affine.offset;
  const Vector3 normal{x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]};
  require(length(normal) > 0, "the axes of the slice are not independent");
  slice.along_normal = (at[0] * normal[0] + at[1] * normal[1] + at[2] * normal[2]) / length(normal);
}

/// The in-plane axes by the file's own words: GDCM forgets the spacing where frames are out of order.
void set_axes(const DicomOutline& outline, Affine& affine) {
  require(outline.orientations.size() <= 1 && outline.spacings.size() <= 1, "the frames of this file have ",
          std::max(outline.orientations.size(), outline.spacings.size()),
          " different angles or spacings; expected parallel slices of one spacing");
  if (outline.orientations.empty() || outline.spacings.empty()) return;
  const std::vector<double> directions = dicom_numbers(*outline.orientations.begin());
  const std::vector<double> spacing =
      dicom_numbers(*outline.spacings.begin());  // between rows, between columns
  if (directions.size() != 6 || spacing.size() != 2) return;
  for (size_t row = 0; row < 3; ++row) {
    const double sign = row < 2 ? -1 : 1;
    affine.matrix[row][0] = 0.0 + sign * directions[row] * spacing[1];
    affine.matrix[row][1] = 0.0 + sign * directions[3 + row] * spacing[0];
  }
}

/// The frames of a file of several as slices, each at its place.
std::vector<Slice> frames_of(Image&& image, const DicomOutline& outline) {
  set_axes(outline, image.geometry.voxel_to_ras_mm);
  const Geometry& whole = image.geometry;
  const auto frames = static_cast<size_t>(whole.size[2]);
  const std::vector<Vector3>& places = outline.positions;
  require(places.size() == frames, "the file has ", frames, " frames and says of ", places.size(),
          " where they lie (ImagePositionPatient); expected one place a frame");
  std::vector<Slice> slices;
  const auto per_frame = static_cast<size_t>(whole.size[0] * whole.size[1]);
  for (size_t frame = 0; frame < frames; ++frame) {
    Slice slice{concat("frame ", frame + 1), {whole, {}}, 0};
    slice.image.geometry.size[2] = 1;
    slice.image.geometry.voxel_to_ras_mm.offset = {0.0 - places[frame][0], 0.0 - places[frame][1],
                                                   places[frame][2]};
    std::visit(
        [&](const auto& all) {
          using Values = std::decay_t<decltype(all)>;
          const auto first = all.begin() + static_cast<std::ptrdiff_t>(frame * per_frame);
          if (!all.empty())
            slice.image.voxels = Values(first, first + static_cast<std::ptrdiff_t>(per_frame));
        },
        image.voxels);
    set_along_normal(slice);
    slices.push_back(std::move(slice));
  }
  return slices;
}

/// What GDCM gets where the file itself would not do, else nothing: it ends the program on stray bytes behind
/// the pixels, turns the numbers of MONOCHROME1 round, and takes no file meta information without the mark
/// before it.
std::optional<std::string> mended(const FoundFile& file) {
  const DicomOutline& outline = file.outline;
  const bool turned = outline.photometric == "MONOCHROME1";
  const bool stray = outline.end > 0 && static_cast<uint64_t>(outline.end) < fs::file_size(file.path);
  if (!turned && !stray && !outline.lacks_mark) return std::nullopt;
  std::string out = whole_file(file.path);
  if (stray) out.resize(static_cast<size_t>(outline.end));
  if (turned) out.at(static_cast<size_t>(outline.photometric_at) + std::string("MONOCHROME").size()) = '2';
  if (outline.lacks_mark) out.insert(0, std::string(128, '\0') + "DICM");
  return out;
}

/// The distances of rows and columns where PixelSpacing is missing: those at the detector, else 1 mm.
void set_spacing(const DicomOutline& outline, Affine& affine, const Warn& warn) {
  if (!outline.spacings.empty() || outline.is_packed) return;
  const std::vector<double> spacing =
      outline.imager_spacing.empty() ? std::vector<double>{1, 1} : dicom_numbers(outline.imager_spacing);
  require(spacing[0] > 0 && spacing[1] > 0, "the spacing of the pixels is ", outline.imager_spacing,
          " mm, expected two numbers above 0");
  if (warn)
    warn(outline.imager_spacing.empty()
             ? "the file does not say how far pixels lie apart (PixelSpacing, 0028,0030); 1 mm is taken"
             : concat("the file does not say how far pixels lie apart in the body (PixelSpacing, 0028,0030); "
                      "the ",
                      spacing[0], " x ", spacing[1], " mm at the detector are taken"));
  for (const int axis : {0, 1}) {
    const double now = length(column(affine, axis));
    require(now > 0, "the axes of the slice are not independent");
    for (auto& row : affine.matrix) row[axis] *= spacing[axis == 0 ? 1 : 0] / now;
  }
}

/// The slices of one file.
std::vector<Slice> read_file(const FoundFile& file, const std::string& name, Part part, const Warn& warn) {
  const DicomOutline& outline = file.outline;
  check_is_image(outline);  // GDCM ends the program on some damage, which the outline refuses
  const auto reader = itk::GDCMImageIO::New();
  std::optional<ReadableCopy> copy;
  if (const auto bytes = mended(file)) copy.emplace(*bytes);
  if (outline.photometric == "MONOCHROME1" && warn)
    warn(
        "the image is meant to be shown with low values bright (MONOCHROME1); its numbers are taken as they "
        "are");
  const std::string path = copy ? copy->path() : file.path;
  require(reader->CanReadFile(path.c_str()), "GDCM does not know this DICOM file as an image",
          advice(outline));
  reader->SetFileName(path);
  Image image;
  try {
    reader->ReadImageInformation();
    image.geometry = itk_geometry(*reader);
    if (part == Part::kVoxels) image.voxels = read_itk_voxels(*reader);  // rescaled by slope and intercept
  } catch (const itk::ExceptionObject&) {
    throw Error("GDCM cannot read this DICOM image" + advice(outline));
  }
  set_spacing(outline, image.geometry.voxel_to_ras_mm, warn);
  if (image.geometry.size[2] > 1) return frames_of(std::move(image), outline);
  set_thickness(*reader, image.geometry.voxel_to_ras_mm);
  std::vector<Slice> slices{{name, std::move(image), 0}};
  set_along_normal(slices.front());
  return slices;
}

/// Throws the Error that says where the widest gap is.
[[noreturn]] void refuse_uneven(const std::vector<Slice>& slices) {
  std::vector<double> gaps;
  for (size_t k = 1; k < slices.size(); ++k)
    gaps.push_back(slices[k].along_normal - slices[k - 1].along_normal);
  const size_t widest = static_cast<size_t>(std::max_element(gaps.begin(), gaps.end()) - gaps.begin());
  std::vector<double> sorted = gaps;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2),
                   sorted.end());
  throw Error(concat("the ", slices.size(), " slices are not evenly spaced: ", gaps[widest], " mm between ",
                     slices[widest].name, " and ", slices[widest + 1].name, ", mostly ",
                     sorted[sorted.size() / 2], " mm; a slice may be missing"));
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
    require(here.size == first.size && here.size[2] == 1, slices[k].name, " has ", describe(here), ", but ",
            slices.front().name, " has ", describe(first));
    for (int axis = 0; axis < 2; ++axis)
      require(length(minus(column(affine, axis), column(origin, axis))) < 1e-3 * length(column(origin, axis)),
              slices[k].name, " lies at another angle or has another spacing than ", slices.front().name,
              "; if it is a localiser, take it out of the folder");
    if (k > 0)
      require(slices[k].along_normal - slices[k - 1].along_normal > 1e-3, slices[k - 1].name, " and ",
              slices[k].name,
              " lie at the same place: the series is more than one volume (times, echoes) or holds a slice "
              "twice");
    Vector3 expected = origin.offset;
    for (int axis = 0; axis < 3; ++axis) expected[axis] += static_cast<double>(k) * step[axis];
    worst = std::max(worst, length(minus(affine.offset, expected)));
  }
  if (worst > 0.1 * length(step)) refuse_uneven(slices);
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

/// The volume that slices in any order make.
Image stacked(std::vector<Slice> slices, Part part, const Warn& warn) {
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

/// Leaves out copies: files of one SOPInstanceUID at one place.
void drop_copies(std::vector<FoundFile>& files, const Warn& warn) {
  std::vector<FoundFile> kept;
  kept.reserve(files.size());
  for (FoundFile& file : files) {
    const std::string& instance = file.outline.instance;
    const auto first = std::find_if(kept.begin(), kept.end(), [&](const FoundFile& other) {
      return !instance.empty() && other.outline.instance == instance &&
             other.outline.positions == file.outline.positions &&
             other.outline.orientations == file.outline.orientations;
    });
    if (first == kept.end()) {
      kept.push_back(std::move(file));
    } else if (warn) {
      warn(concat(fs::path(file.path).filename().string(), " is a copy of ",
                  fs::path(first->path).filename().string(), " (SOPInstanceUID); it is left out"));
    }
  }
  files = std::move(kept);
}

Image read_series(const std::string& folder, Part part, const Warn& warn) {
  std::vector<FoundFile> files = files_of_series(folder);
  drop_copies(files, warn);
  std::vector<Slice> slices;
  std::set<std::string> told;
  const Warn once = [&](const std::string& line) {
    if (warn && told.insert(line).second) warn(line);
  };
  for (const FoundFile& file : files) {
    const std::string name = fs::relative(file.path, folder).string();
    with_context(name, [&] {
      require(files.size() == 1 || file.outline.is_packed || !file.outline.positions.empty(),
              "it does not say where it lies (ImagePositionPatient, 0020,0032, is missing), so the ",
              files.size(),
              " slices cannot be put in order; look for the series as the scanner made it (this may be a "
              "copy such as "
              "a secondary capture)");
      for (Slice& slice : read_file(file, name, part, once)) slices.push_back(std::move(slice));
    });
  }
  return stacked(std::move(slices), part, warn);
}

}  // namespace

Image read_dicom(const std::string& path, Part part, const Warn& warn) {
  Image image;
  run_itk([&] {
    if (fs::is_directory(path)) {
      image = read_series(path, part, warn);
      return;
    }
    const FoundFile file{path, outline_dicom(path)};
    if (warn && file.outline.positions.empty() && !file.outline.is_packed)
      warn("the slice does not say where it lies (no ImagePositionPatient); it is put at 0");
    image = stacked(read_file(file, fs::path(path).filename().string(), part, warn), part, warn);
  });
  return image;
}

}  // namespace mambaseg
