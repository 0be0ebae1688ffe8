#include "mambaseg/io/picture.h"

#include <zlib.h>

#include <filesystem>

#include "mambaseg/core/error.h"
#include "tests/fuzz/image_file.h"
#include "tests/fuzz/target.h"
#include "tests/io/byte_writer.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

/// A PNG with the check sums that its chunks should have, which no mutation would hit.
std::string with_check_sums(std::string png) {
  for (size_t at = 8; at + 12 <= png.size();) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(png[at + i]);
    if (length > png.size() - at - 12) break;
    const auto* chunk = reinterpret_cast<const Bytef*>(png.data() + at + 4);
    put(png, at + 8 + length, static_cast<uint32_t>(crc32(0, chunk, static_cast<uInt>(length + 4))), true);
    at += 12 + length;
  }
  return png;
}

}  // namespace

/// PNG, JPEG or BMP by the first bytes: as a picture, and as an image of grey values.
void fuzz_picture(const std::string& bytes, const std::string& folder) {
  const bool png = bytes.starts_with("\x89PNG");
  const std::string path = folder + (bytes.starts_with("\xff\xd8") ? "/picture.jpg"
                                     : png                         ? "/picture.png"
                                                                   : "/picture.bmp");
  write_bytes(path, png ? with_check_sums(bytes) : bytes);
  const Picture picture = read_picture(path);
  if (picture.values.size() != static_cast<size_t>(picture.width * picture.height * picture.channels))
    std::abort();
  if (to_grey(picture).channels != 1) std::abort();
  if (picture.channels == 1) read_image(path, {});
}

}  // namespace mambaseg
