// JPEG through libjpeg. ITK's reader crashes on damaged files and fills up with grey what is missing.

#include <cstdio>  // before jpeglib.h, which needs it

#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>
#include <cstdlib>

#include "mambaseg/core/error.h"
#include "mambaseg/io/picture_decoders.h"

namespace mambaseg {
namespace {

constexpr uint64_t kGrowth = 1032;  // a block of 64 values takes a bit at least: no whole file grows by more

/// Harmless: what the decoder warns of without losing pixels.
bool keeps_pixels(int warning) {
  switch (warning) {
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
      return true;
    default:
      return false;
  }
}

/// libjpeg reports errors by a function that must not return. It jumps back into the method that called
/// libjpeg, in which nothing but plain values lives.
class Decoder {
 public:
  explicit Decoder(const std::string& bytes) {
    state_.err = jpeg_std_error(&errors_);
    state_.client_data = this;
    errors_.error_exit = [](j_common_ptr state) { fail(state); };
    errors_.emit_message = [](j_common_ptr state, int level) {
      if (level < 0 && !keeps_pixels(state->err->msg_code)) fail(state);
    };
    if (setjmp(back_) != 0) refuse();
    jpeg_create_decompress(&state_);
    jpeg_mem_src(&state_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_read_header(&state_, TRUE);
    if (state_.out_color_space == JCS_CMYK || state_.jpeg_color_space == JCS_YCCK)
      state_.out_color_space = JCS_CMYK;
    else
      state_.out_color_space = state_.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_calc_output_dimensions(&state_);
  }
  ~Decoder() { jpeg_destroy_decompress(&state_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  int64_t width() const { return state_.output_width; }
  int64_t height() const { return state_.output_height; }
  int channels() const { return state_.output_components; }
  /// Whether CMYK is stored as Adobe does, 255 for no ink.
  bool inverted() const { return state_.saw_Adobe_marker != 0; }

  /// Fills height() rows of width() * channels() values.
  void read_rows(uint8_t* values) {
    if (setjmp(back_) != 0) refuse();
    jpeg_start_decompress(&state_);
    while (state_.output_scanline < state_.output_height) {
      JSAMPROW row = values + static_cast<size_t>(state_.output_scanline) * state_.output_width *
                                  static_cast<size_t>(state_.output_components);
      jpeg_read_scanlines(&state_, &row, 1);
    }
    jpeg_finish_decompress(&state_);
  }

 private:
  [[noreturn]] static void fail(j_common_ptr state) {
    auto* self = static_cast<Decoder*>(state->client_data);
    state->err->format_message(state, self->message_);
    std::longjmp(self->back_, 1);
  }
  [[noreturn]] void refuse() {
    jpeg_destroy_decompress(&state_);  // as often as one likes; a constructor that throws is not destroyed
    throw Error(concat("the JPEG picture is damaged (", message_, ")"));
  }

  jpeg_decompress_struct state_{};
  jpeg_error_mgr errors_{};
  std::jmp_buf back_{};
  char message_[JMSG_LENGTH_MAX]{};
};

/// As Decoder, the other way.
class Encoder {
 public:
  Encoder() {
    state_.err = jpeg_std_error(&errors_);
    state_.client_data = this;
    errors_.error_exit = [](j_common_ptr state) {
      auto* self = static_cast<Encoder*>(state->client_data);
      state->err->format_message(state, self->message_);
      std::longjmp(self->back_, 1);
    };
    if (setjmp(back_) != 0) refuse();
    jpeg_create_compress(&state_);
    jpeg_mem_dest(&state_, &bytes_, &size_);
  }
  ~Encoder() {
    jpeg_destroy_compress(&state_);
    std::free(bytes_);
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  void write(const Picture& picture, int quality) {
    if (setjmp(back_) != 0) refuse();
    state_.image_width = static_cast<JDIMENSION>(picture.width);
    state_.image_height = static_cast<JDIMENSION>(picture.height);
    state_.input_components = picture.channels;
    state_.in_color_space = picture.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&state_);
    jpeg_set_quality(&state_, quality, TRUE);
    jpeg_start_compress(&state_, TRUE);
    while (state_.next_scanline < state_.image_height) {
      JSAMPROW row = const_cast<JSAMPROW>(picture.values.data()) + static_cast<size_t>(state_.next_scanline) *
                                                                       state_.image_width *
                                                                       static_cast<size_t>(picture.channels);
      jpeg_write_scanlines(&state_, &row, 1);
    }
    jpeg_finish_compress(&state_);
  }
  std::string bytes() const { return {reinterpret_cast<const char*>(bytes_), size_}; }

 private:
  [[noreturn]] void refuse() {
    throw Error(concat("the picture cannot be written as JPEG (", message_, ")"));
  }

  jpeg_compress_struct state_{};
  jpeg_error_mgr errors_{};
  std::jmp_buf back_{};
  unsigned char* bytes_ = nullptr;
  unsigned long size_ = 0;
  char message_[JMSG_LENGTH_MAX]{};
};

std::vector<uint8_t> rgb_of_cmyk(const std::vector<uint8_t>& inks, bool inverted) {
  std::vector<uint8_t> out;
  out.reserve(inks.size() / 4 * 3);
  const auto light = [inverted](int ink) { return inverted ? ink : 255 - ink; };
  for (size_t pixel = 0; pixel + 4 <= inks.size(); pixel += 4)
    for (size_t colour = 0; colour < 3; ++colour)
      out.push_back(static_cast<uint8_t>((light(inks[pixel + colour]) * light(inks[pixel + 3]) + 127) / 255));
  return out;
}

}  // namespace

DecodedPicture decode_jpeg(const std::string& bytes) {
  Decoder decoder(bytes);
  DecodedPicture picture{decoder.width(), decoder.height(), decoder.channels(), {}};
  const auto count = static_cast<uint64_t>(picture.width) * static_cast<uint64_t>(picture.height) *
                     static_cast<uint64_t>(picture.channels);
  require(count / kGrowth <= bytes.size(), "the JPEG picture is damaged: it announces ", picture.width, "x",
          picture.height, " pixels, the file has ", bytes.size(), " bytes");
  std::vector<uint8_t> values(count);
  decoder.read_rows(values.data());
  if (picture.channels == 4) {
    values = rgb_of_cmyk(values, decoder.inverted());
    picture.channels = 3;
  }
  picture.values = std::move(values);
  return picture;
}

std::string encode_jpeg(const Picture& picture, int quality) {
  Encoder encoder;
  encoder.write(picture, quality);
  return encoder.bytes();
}

}  // namespace mambaseg
