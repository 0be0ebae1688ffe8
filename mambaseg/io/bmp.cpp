// BMP as far as masks and photographs come in it: BITMAPCOREHEADER and BITMAPINFOHEADER (and its extensions)
// without compression, 1, 4 or 8 bits with a palette, 24 or 32 bits. ITK's reader knows no 1 and 4 bits, and
// writes outside its memory on damaged files.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

#include "mambaseg/core/error.h"
#include "mambaseg/io/picture_decoders.h"

namespace mambaseg {
namespace {

constexpr size_t kFileHeader = 14, kCoreHeader = 12, kInfoHeader = 40;
constexpr uint32_t kUncompressed = 0, kBitFields = 3;

/// Little-endian numbers of a file; Error where it ends.
class Bytes {
 public:
  explicit Bytes(const std::string& all) : all_(all) {}
  uint32_t number(size_t at, size_t bytes) const {
    require(at + bytes <= all_.size(), "the BMP picture is cut off");
    uint32_t value = 0;
    for (size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<uint8_t>(all_[at + i]);
    return value;
  }

 private:
  const std::string& all_;
};

using Colour = std::array<uint8_t, 3>;

/// What comes before the pixels.
struct Header {
  size_t pixels_at = 0;
  int64_t width = 0, height = 0;
  bool from_top = false;
  uint32_t bits = 0;
  std::vector<Colour> palette;  ///< of 1, 4 and 8 bits

  size_t row_bytes() const { return (static_cast<size_t>(width) * bits + 31) / 32 * 4; }
};

Header read_header(const Bytes& in) {
  Header out;
  out.pixels_at = in.number(10, 4);
  const size_t size = in.number(kFileHeader, 4), at = kFileHeader;
  const bool core = size == kCoreHeader;
  require(core || (size >= kInfoHeader && size <= 1024), "the BMP header is damaged");
  out.width = core ? int64_t{in.number(at + 4, 2)} : static_cast<int32_t>(in.number(at + 4, 4));
  out.height = core ? int64_t{in.number(at + 6, 2)} : static_cast<int32_t>(in.number(at + 8, 4));
  out.from_top = out.height < 0;
  out.height = std::abs(out.height);
  require(out.width > 0 && out.height > 0, "the BMP header is damaged: ", out.width, " x ", out.height,
          " pixels");
  out.bits = in.number(at + (core ? 10 : 14), 2);
  require(out.bits == 1 || out.bits == 4 || out.bits == 8 || out.bits == 24 || out.bits == 32,
          "the BMP picture has ", out.bits, " bits a pixel, expected 1, 4, 8, 24 or 32; save it as PNG");
  const uint32_t packing = core ? kUncompressed : in.number(at + 16, 4);
  bool known = packing == kUncompressed;
  if (packing == kBitFields && out.bits == 32)
    known =
        in.number(at + 40, 4) == 0xff0000 && in.number(at + 44, 4) == 0xff00 && in.number(at + 48, 4) == 0xff;
  require(known, "the BMP picture is compressed or orders its colours unusually; save it as PNG");
  if (out.bits > 8) return out;
  const uint32_t told = core ? 0 : in.number(at + 32, 4), most = 1u << out.bits;
  const size_t entry = core ? 3 : 4;
  for (uint32_t i = 0; i < (told == 0 || told > most ? most : told); ++i) {
    const size_t place = at + size + entry * i;
    out.palette.push_back({static_cast<uint8_t>(in.number(place + 2, 1)),
                           static_cast<uint8_t>(in.number(place + 1, 1)),
                           static_cast<uint8_t>(in.number(place, 1))});
  }
  return out;
}

}  // namespace

DecodedPicture decode_bmp(const std::string& bytes) {
  const Bytes in(bytes);
  const Header header = read_header(in);
  const size_t row_bytes = header.row_bytes(), rows = static_cast<size_t>(header.height);
  require(header.pixels_at <= bytes.size() && (bytes.size() - header.pixels_at) / row_bytes >= rows,
          "the BMP picture is cut off");
  std::vector<uint8_t> values;
  values.reserve(3 * static_cast<size_t>(header.width) * rows);
  for (size_t y = 0; y < rows; ++y) {
    const size_t row = header.pixels_at + row_bytes * (header.from_top ? y : rows - 1 - y);
    for (size_t x = 0; x < static_cast<size_t>(header.width); ++x) {
      Colour colour{};
      if (header.bits > 8) {
        for (size_t c = 0; c < 3; ++c)
          colour[c] = static_cast<uint8_t>(bytes[row + header.bits / 8 * x + 2 - c]);
      } else {
        const size_t bit = header.bits * x;
        const auto byte = static_cast<uint8_t>(bytes[row + bit / 8]);
        const size_t index = byte >> (8 - header.bits - bit % 8) & ((1u << header.bits) - 1);
        require(index < header.palette.size(), "the BMP picture is damaged: it has no colour ", index);
        colour = header.palette[index];
      }
      values.insert(values.end(), colour.begin(), colour.end());
    }
  }
  const bool grey =
      header.bits <= 8 && std::all_of(header.palette.begin(), header.palette.end(),
                                      [](const Colour& c) { return c[0] == c[1] && c[1] == c[2]; });
  if (!grey) return {header.width, header.height, 3, std::move(values)};
  for (size_t i = 0; i < values.size() / 3; ++i) values[i] = values[3 * i];
  values.resize(values.size() / 3);
  return {header.width, header.height, 1, std::move(values)};
}

}  // namespace mambaseg
