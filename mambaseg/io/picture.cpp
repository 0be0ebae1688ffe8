// What PNG, JPEG and BMP have in common; packed and unpacked in png.cpp, jpeg.cpp and bmp.cpp.

#include "mambaseg/io/picture.h"

#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/exif.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/picture_decoders.h"

namespace mambaseg {
namespace {

constexpr int kJpegQuality = 95;
constexpr char kJpegStart[] = "\xff\xd8\xff";

/// By the content; the name may be wrong.
DecodedPicture decode(const std::string& bytes, PngPixels png) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return decode_png(bytes, png);
  if (bytes.starts_with(kJpegStart)) return decode_jpeg(bytes);
  require(bytes.starts_with("BM"), "this is not a PNG, JPEG or BMP picture; save it as PNG");
  return decode_bmp(bytes);
}

std::vector<uint8_t> in_8_bits(const VoxelData& values) {
  if (const auto* narrow = std::get_if<std::vector<uint8_t>>(&values)) return *narrow;
  std::vector<uint8_t> out;
  for (const uint16_t value : std::get<std::vector<uint16_t>>(values))
    out.push_back(static_cast<uint8_t>((value + 128) / 257));
  return out;
}

/// Grey with alpha (2 numbers) keeps its grey.
std::vector<uint8_t> without_alpha_of_grey(std::vector<uint8_t> values, int& channels) {
  if (channels != 2) return values;
  channels = 1;
  for (size_t i = 0; i < values.size() / 2; ++i) values[i] = values[2 * i];
  values.resize(values.size() / 2);
  return values;
}

/// Whether all colours are grey, so that the first channel says all but alpha.
template <class T>
bool is_grey(const std::vector<T>& values, int channels) {
  if (channels < 3) return true;
  for (size_t i = 0; i < values.size(); i += static_cast<size_t>(channels))
    if (values[i] != values[i + 1] || values[i] != values[i + 2]) return false;
  return true;
}

}  // namespace

Picture read_picture(const std::string& path) {
  return with_context(path, [&path] {
    std::error_code failed;
    require(std::filesystem::exists(path, failed), "no such file");
    require(std::filesystem::is_regular_file(path, failed), "this is not a regular file");
    require(std::filesystem::file_size(path, failed) > 0, "the file is empty");
    const std::string bytes = whole_file(path);
    const DecodedPicture decoded = decode(bytes, PngPixels::kColours);
    Picture picture{decoded.width, decoded.height, decoded.channels, {}};
    picture.values = without_alpha_of_grey(in_8_bits(decoded.values), picture.channels);
    return upright(picture, exif_orientation(bytes));
  });
}

void write_picture(const std::string& path, const Picture& picture) {
  const std::string ending = lower_ending(path);
  const bool jpeg = ending == ".jpg" || ending == ".jpeg";
  require(jpeg || ending == ".png", path,
          ": cannot write a picture of this format; use the ending .png or .jpg");
  require(picture.channels == 1 || picture.channels == 3 || (picture.channels == 4 && !jpeg), path,
          ": expected 1 or 3 channels", jpeg ? "" : " or 4", ", got ", picture.channels);
  require(picture.width > 0 && picture.height > 0 &&
              picture.values.size() == static_cast<size_t>(picture.width * picture.height * picture.channels),
          path, ": a picture of ", picture.width, "x", picture.height, " with ", picture.channels,
          " channels has ", picture.values.size(), " values");
  const std::string bytes =
      with_context(path, [&] { return jpeg ? encode_jpeg(picture, kJpegQuality) : encode_png(picture); });
  write_file_atomically(path, bytes);
}

Image read_grey_picture(const std::string& path, Part /*part*/, const Warn&) {
  const DecodedPicture picture = decode(whole_file(path), PngPixels::kNumbers);
  Image image;
  image.geometry.size = {picture.width, picture.height, 1};
  // pixels of 1 mm, the first at the left, in front
  image.geometry.voxel_to_ras_mm.matrix = {{{-1, 0, 0}, {0, -1, 0}, {0, 0, 1}}};
  std::visit(
      [&](const auto& values) {
        require(
            is_grey(values, picture.channels), "this is a colour picture of ", picture.channels,
            " channels; expected one grey value a pixel, so turn it into a grey picture, or use a 2-D task, "
            "which reads colours");
        std::decay_t<decltype(values)> grey;
        grey.reserve(values.size() / static_cast<size_t>(picture.channels));
        for (size_t i = 0; i < values.size(); i += static_cast<size_t>(picture.channels))
          grey.push_back(values[i]);
        image.voxels = std::move(grey);
      },
      picture.values);
  return image;
}

}  // namespace mambaseg
