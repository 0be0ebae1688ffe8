#include "mambaseg/io/image.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/channels.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/labels_with_comment.h"
#include "mambaseg/io/narrow_labels.h"
#include "mambaseg/io/nifti_channels.h"

namespace mambaseg {
namespace {

constexpr double kLabelRounding = 1e-3;   // a scale of 24 bits is right to that for labels up to 16 thousand
constexpr double kWidestLabelStep = 0.5;  // of a scale that whole numbers survive without doubt
constexpr double kSkewWorthAWord = 1e-3;  // cosine between two voxel axes; rounding of headers stays below

/// Throws Error on a geometry that no place can be computed with; warns about axes that are not orthogonal.
void check_geometry(const Geometry& geometry, const Warn& warn) {
  const auto& m = geometry.voxel_to_ras_mm.matrix;
  for (int row = 0; row < 3; ++row) {
    bool finite = std::isfinite(geometry.voxel_to_ras_mm.offset[row]);
    for (int column = 0; column < 3; ++column) finite = finite && std::isfinite(m[row][column]);
    require(finite, "the header's voxel-to-mm matrix holds values that are not numbers");
  }
  const Vector3 spacing = geometry.spacing_mm();
  const double scale = spacing[0] * spacing[1] * spacing[2];
  require(scale > 0 && geometry.voxel_volume_mm3() > 1e-9 * scale,
          "the header's voxel-to-mm matrix is singular (spacing ", spacing[0], " x ", spacing[1], " x ",
          spacing[2], " mm)");
  double worst = 0;
  for (int a = 0; a < 2; ++a)
    for (int b = a + 1; b < 3; ++b) {
      double dot = 0;
      for (int row = 0; row < 3; ++row) dot += m[row][a] * m[row][b];
      worst = std::max(worst, std::abs(dot) / (spacing[a] * spacing[b]));
    }
  if (warn && worst > kSkewWorthAWord)
    warn(concat("the voxel axes are not orthogonal (off by ",
                std::asin(std::min(1.0, worst)) * 180 / std::acos(-1.0),
                " degrees); they are kept as they are"));
}

/// What `action`, which reads `path`, gives; errors name the path.
template <class Action>
auto reading(const std::string& path, const Warn& warn, Action&& action) {
  return with_context(path, [&] {
    const Warn named = warn ? Warn([&](const std::string& line) { warn(path + ": " + line); }) : Warn();
    try {
      return action(named);
    } catch (const std::bad_alloc&) {
      throw Error("not enough memory for the voxels that the header announces");
    } catch (const std::length_error&) {
      throw Error("not enough memory for the voxels that the header announces");
    }
  });
}

Image read_part(const std::string& path, Part part, const Warn& warn) {
  return reading(path, warn, [&](const Warn& named) {
    Image image = format_to_read(path).read(path, part, named);
    check_geometry(image.geometry, named);
    return image;
  });
}

/// Refuses voxels that are no numbers.
Volume<float> as_floats(Image image, const std::string& path) {
  Volume<float> out;
  out.geometry = image.geometry;
  if (auto* floats = std::get_if<std::vector<float>>(&image.voxels)) {
    out.voxels = std::move(*floats);
  } else {
    std::visit([&out](const auto& in) { out.voxels.assign(in.begin(), in.end()); }, image.voxels);
  }
  const auto bad =
      std::count_if(out.voxels.begin(), out.voxels.end(), [](float v) { return !std::isfinite(v); });
  require(bad == 0, path, ": ", bad, " of ", out.voxels.size(),
          " voxels are NaN, infinite or too large for float; replace them first");
  return out;
}

/// The label that a voxel means, or nothing. Files whose header scales whole numbers are off by the rounding
/// of the scale and by half its step.
template <class T>
std::optional<int32_t> label_of(T value, double step) {
  using Limits = std::numeric_limits<int32_t>;
  if constexpr (std::is_floating_point_v<T>) {
    const double whole = std::round(static_cast<double>(value));
    const double allowed = kLabelRounding + (step <= kWidestLabelStep ? step / 2 : 0);
    if (!(std::abs(static_cast<double>(value) - whole) <= allowed)) return std::nullopt;
    if (whole < Limits::min() || whole > Limits::max()) return std::nullopt;
    return static_cast<int32_t>(whole);
  } else {
    if (!std::in_range<int32_t>(value)) return std::nullopt;
    return static_cast<int32_t>(value);
  }
}

/// The shortest text that is read back as the same number.
template <class T>
std::string digits(T value) {
  std::array<char, 32> text;
  const auto [end, failed] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

/// The format that writes `count` values as an image of that geometry. Throws Error when there is none.
const ImageFormat& format_to_write(const std::string& path, const Geometry& geometry, size_t count) {
  require(geometry.voxel_count() > 0 && count == static_cast<size_t>(geometry.voxel_count()), path,
          ": cannot write ", count, " values as an image of ", describe(geometry));
  with_context(path, [&] { check_geometry(geometry, {}); });
  const ImageFormat* format = format_of_name(path);
  require(format != nullptr && format->write != nullptr, path,
          ": cannot write an image of this format; use one of the endings ", image_endings_text());
  return *format;
}

}  // namespace

Image read_image(const std::string& path, const Warn& warn) { return read_part(path, Part::kVoxels, warn); }

Geometry read_geometry(const std::string& path, const Warn& warn) {
  return read_part(path, Part::kGeometry, warn).geometry;
}

Volume<float> read_volume(const std::string& path, const Warn& warn) {
  return as_floats(read_image(path, warn), path);
}

std::vector<Image> read_channels(const std::string& path, const Warn& warn) {
  return reading(path, warn, [&](const Warn& named) {
    const ImageFormat& format = format_to_read(path);
    std::vector<Image> channels;
    if (format.read == read_nifti)
      channels = read_nifti_channels(path, named);
    else
      channels.push_back(format.read(path, Part::kVoxels, named));
    check_geometry(channels.at(0).geometry, named);
    return channels;
  });
}

std::vector<Volume<float>> read_channel_volumes(const std::string& path, const Warn& warn) {
  std::vector<Volume<float>> channels;
  for (Image& image : read_channels(path, warn)) channels.push_back(as_floats(std::move(image), path));
  return channels;
}

int64_t count_channels(const std::string& path) {
  return with_context(path, [&] {
    return format_to_read(path).read == read_nifti ? count_nifti_channels(path) : int64_t{1};
  });
}

Volume<int32_t> read_labels(const std::string& path, const Warn& warn) {
  Image image = read_image(path, warn);
  Volume<int32_t> out;
  out.geometry = image.geometry;
  const Index3& n = out.geometry.size;
  std::visit(
      [&]<class T>(std::vector<T>& in) {
        if constexpr (std::is_same_v<T, int32_t>) {
          out.voxels = std::move(in);
        } else if constexpr (std::is_integral_v<T> && sizeof(T) < sizeof(int32_t)) {
          out.voxels.assign(in.begin(), in.end());
        } else {
          out.voxels.resize(in.size());
          for (size_t v = 0; v < in.size(); ++v) {
            const auto i = static_cast<int64_t>(v);
            const std::optional<int32_t> label = label_of(in[v], image.step);
            require(label.has_value(), path, ": expected labels (whole numbers of 32 bits), got ",
                    digits(in[v]), " in voxel (", i % n[0], ", ", i / n[0] % n[1], ", ", i / n[0] / n[1],
                    ")");
            out.voxels[v] = *label;
          }
        }
      },
      image.voxels);
  return out;
}

void write_image(const std::string& path, const Image& image) {
  const size_t count = std::visit([](const auto& v) { return v.size(); }, image.voxels);
  format_to_write(path, image.geometry, count).write(path, image);
}

void write_volume(const std::string& path, const Volume<float>& volume) {
  write_image(path, Image{volume.geometry, volume.voxels});
}

void write_labels(const std::string& path, const Volume<int32_t>& labels) {
  write_labels_with_comment(path, labels, "");
}

void write_labels_with_comment(const std::string& path, const Volume<int32_t>& labels,
                               const std::string& comment) {
  const ImageFormat& format = format_to_write(path, labels.geometry, labels.voxels.size());
  if (format.write == write_nifti) return write_nifti_labels(path, labels, comment);
  Image image{labels.geometry, voxels_of_type(smallest_type(labels.voxels), labels.voxels.size())};
  narrow(labels.voxels, image.voxels.index(), bytes_of(image.voxels));
  format.write(path, image);
}

bool is_image_name(const std::string& path) {
  const ImageFormat* format = format_of_name(path);
  return format != nullptr && format->write != nullptr;
}

std::string image_endings_text() {
  std::string text;
  for (const ImageFormat& format : image_formats())
    if (format.write != nullptr)
      for (const std::string& ending : format.endings) text += (text.empty() ? "" : ", ") + ending;
  return text;
}

std::string image_stem(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  const ImageFormat* format = format_of_name(path);
  if (format == nullptr) return name;
  size_t longest = 0;
  const std::string small = lower_case(name);
  for (const std::string& ending : format->endings)
    if (small.ends_with(ending)) longest = std::max(longest, ending.size());
  return name.substr(0, name.size() - longest);
}

}  // namespace mambaseg
