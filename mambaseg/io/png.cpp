// PNG through libpng. ITK's reader ends the program on damaged files.

#include <png.h>

#include <bit>
#include <cstring>

#include "mambaseg/core/error.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/packed_bytes.h"
#include "mambaseg/io/picture_decoders.h"

namespace mambaseg {
namespace {

/// libpng reports errors by a function that must not return. It jumps back into the method that called
/// libpng, in which nothing but plain values lives.
class Decoder {
 public:
  Decoder(const std::string& bytes, PngPixels pixels) : left_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, fail, [](png_structp, png_const_charp) {});
    info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
    if (info_ == nullptr) refuse();
    if (setjmp(png_jmpbuf(png_)) != 0) refuse();
    png_set_read_fn(png_, this, read);
    png_read_info(png_, info_);
    packed_row_ = png_get_rowbytes(png_, info_);
    if (pixels == PngPixels::kColours)
      png_set_expand(png_);
    else
      png_set_packing(png_);
    if constexpr (std::endian::native == std::endian::little) png_set_swap(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
  }
  ~Decoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  size_t width() const { return png_get_image_width(png_, info_); }
  size_t height() const { return png_get_image_height(png_, info_); }
  int channels() const { return png_get_channels(png_, info_); }
  bool wide() const { return png_get_bit_depth(png_, info_) == 16; }
  size_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  /// Bytes of a row before bits and palettes are unpacked.
  size_t packed_row_bytes() const { return packed_row_; }

  void read_rows(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) refuse();
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
  }

 private:
  [[noreturn]] static void fail(png_structp png, png_const_charp message) {
    auto* self = static_cast<Decoder*>(png_get_error_ptr(png));
    std::strncpy(self->message_, message, sizeof self->message_ - 1);
    png_longjmp(png, 1);
  }
  static void read(png_structp png, png_bytep out, size_t count) {
    std::string_view& left = static_cast<Decoder*>(png_get_io_ptr(png))->left_;
    if (count > left.size()) png_error(png, "it is cut off");
    std::memcpy(out, left.data(), count);
    left.remove_prefix(count);
  }
  [[noreturn]] void refuse() {
    png_destroy_read_struct(&png_, &info_, nullptr);  // leaves null pointers
    throw Error(concat("the PNG picture is damaged (", message_, ")"));
  }

  std::string_view left_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  size_t packed_row_ = 0;
  char message_[200] = "not enough memory";
};

/// libpng takes memory for as many bytes as a chunk announces before it reads them.
void check_chunks(const std::string& bytes) {
  constexpr size_t kMark = 8, kAround = 12;  // length, type and check sum
  for (size_t at = kMark; at + kAround <= bytes.size();) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<uint8_t>(bytes[at + i]);
    if (bytes.compare(at + 4, 4, "IEND") == 0) return;
    require(length <= bytes.size() - at - kAround, "the PNG picture is cut off: a part of it should have ",
            length, " bytes");
    at += kAround + length;
  }
}

}  // namespace

DecodedPicture decode_png(const std::string& bytes, PngPixels pixels) {
  check_chunks(bytes);
  Decoder decoder(bytes, pixels);
  require(decoder.packed_row_bytes() * decoder.height() / kDeflateLimit <= bytes.size(),
          "the PNG picture is damaged: it announces ", decoder.width(), "x", decoder.height(),
          " pixels, the file has ", bytes.size(), " bytes");
  DecodedPicture picture{
      static_cast<int64_t>(decoder.width()), static_cast<int64_t>(decoder.height()), decoder.channels(), {}};
  const size_t count = decoder.width() * decoder.height() * static_cast<size_t>(decoder.channels());
  if (decoder.wide())
    picture.values = std::vector<uint16_t>(count);
  else
    picture.values = std::vector<uint8_t>(count);
  std::vector<png_bytep> rows;
  for (size_t row = 0; row < decoder.height(); ++row)
    rows.push_back(reinterpret_cast<png_bytep>(bytes_of(picture.values).data()) + row * decoder.row_bytes());
  decoder.read_rows(rows.data());
  return picture;
}

std::string encode_png(const Picture& picture) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = picture.channels == 1   ? PNG_FORMAT_GRAY
                 : picture.channels == 3 ? PNG_FORMAT_RGB
                                         : PNG_FORMAT_RGBA;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  const int done =
      png_image_write_to_memory(&image, bytes.data(), &size, 0, picture.values.data(), 0, nullptr);
  require(done != 0, "the picture cannot be written as PNG (", image.message, ")");
  bytes.resize(size);
  return bytes;
}

}  // namespace mambaseg
