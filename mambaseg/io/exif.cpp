// Exif 2.32 (CIPA DC-008): a TIFF header and directory in the APP1 segment of a JPEG file or in the chunk
// eXIf of a PNG file. Cameras and telephones leave the rows as the sensor gave them and only note how the
// picture is to be turned.

#include "mambaseg/io/exif.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mambaseg {
namespace {

constexpr uint8_t kApp1 = 0xe1, kStartOfScan = 0xda;
constexpr uint32_t kOrientationTag = 0x0112;
constexpr size_t kEntryBytes = 12;
constexpr std::string_view kPngStart = "\x89PNG\r\n\x1a\n", kJpegStart = "\xff\xd8";

/// A span of a file that is read number by number; nothing where the span ends.
struct Bytes {
  const std::string& all;
  size_t start, end;
  bool little_endian = false;

  std::optional<uint32_t> number(size_t at, size_t bytes) const {
    if (start + at + bytes > end) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i)
      value = value << 8 | static_cast<uint8_t>(all[start + at + (little_endian ? bytes - 1 - i : i)]);
    return value;
  }
};

/// The orientation that the first directory of a TIFF structure names.
std::optional<uint32_t> orientation_in(Bytes tiff) {
  const auto order = tiff.number(0, 2);
  tiff.little_endian = order == 0x4949u;  // "II"; "MM" for the other
  const auto directory = tiff.number(4, 4);
  const auto entries = directory ? tiff.number(*directory, 2) : std::nullopt;
  for (uint32_t i = 0; entries && i < *entries; ++i) {
    const size_t entry = *directory + 2 + kEntryBytes * i;
    if (tiff.number(entry, 2) == kOrientationTag) return tiff.number(entry + 8, 2);
  }
  return std::nullopt;
}

/// The TIFF structure of a JPEG file.
std::optional<Bytes> exif_of_jpeg(const std::string& bytes) {
  const Bytes file{bytes, 0, bytes.size()};
  for (size_t at = 2; file.number(at, 1) == 0xffu;) {
    const auto marker = file.number(at + 1, 1), length = file.number(at + 2, 2);
    if (!marker || !length || *length < 2 || *marker == kStartOfScan) break;
    if (*marker == kApp1 && bytes.compare(at + 4, 6, std::string("Exif\0\0", 6)) == 0)
      return Bytes{bytes, at + 10, std::min(bytes.size(), at + 2 + *length)};
    at += 2 + *length;
  }
  return std::nullopt;
}

/// The TIFF structure of a PNG file, whose chunks are length, type, content and checksum.
std::optional<Bytes> exif_of_png(const std::string& bytes) {
  const Bytes file{bytes, 0, bytes.size()};
  size_t at = kPngStart.size();
  for (auto length = file.number(at, 4); length && at + 12 + *length <= bytes.size();
       length = file.number(at, 4)) {
    if (bytes.compare(at + 4, 4, "eXIf") == 0) return Bytes{bytes, at + 8, at + 8 + *length};
    at += 12 + size_t{*length};
  }
  return std::nullopt;
}

}  // namespace

int exif_orientation(const std::string& bytes) {
  const auto exif = bytes.starts_with(kPngStart)    ? exif_of_png(bytes)
                    : bytes.starts_with(kJpegStart) ? exif_of_jpeg(bytes)
                                                    : std::nullopt;
  const auto found = exif ? orientation_in(*exif) : std::nullopt;
  return found && *found >= 1 && *found <= 8 ? static_cast<int>(*found) : 1;
}

Picture upright(const Picture& stored, int orientation) {
  if (orientation == 1) return stored;
  const bool transposed = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Picture out{transposed ? stored.height : stored.width,
              transposed ? stored.width : stored.height,
              stored.channels,
              {}};
  out.values.reserve(stored.values.size());
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x) {
      const int64_t column = transposed ? y : x, row = transposed ? x : y;
      const int64_t from = (from_below ? stored.height - 1 - row : row) * stored.width +
                           (from_right ? stored.width - 1 - column : column);
      const auto pixel = stored.values.begin() + from * stored.channels;
      out.values.insert(out.values.end(), pixel, pixel + stored.channels);
    }
  return out;
}

}  // namespace mambaseg
