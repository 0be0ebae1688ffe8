#include "mambaseg/io/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "mambaseg/io/image.h"
#include "tests/io/byte_writer.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

Picture ramp(int64_t width, int64_t height, int channels) {
  Picture picture{width, height, channels, {}};
  for (int64_t i = 0; i < width * height * channels; ++i)
    picture.values.push_back(static_cast<uint8_t>(7 * i));
  return picture;
}

enum ColourType : char { kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgbAlpha = 6 };

/// A PNG of one row, whose packed bytes are `row`.
std::string png_of(uint32_t width, char bits, ColourType type, const std::string& row,
                   const std::string& palette = "") {
  std::string bytes = "\x89PNG\r\n\x1a\n";
  const auto chunk = [&bytes](const std::string& name, const std::string& data) {
    put(bytes, bytes.size(), static_cast<uint32_t>(data.size()), true);
    const std::string named = name + data;
    bytes += named;
    put(bytes, bytes.size(),
        static_cast<uint32_t>(
            crc32(0, reinterpret_cast<const Bytef*>(named.data()), static_cast<uInt>(named.size()))),
        true);
  };
  std::string header;
  put(header, 0, width, true);
  put<uint32_t>(header, 4, 1, true);
  chunk("IHDR", header + bits + static_cast<char>(type) + std::string(3, '\0'));
  if (!palette.empty()) chunk("PLTE", palette);
  const std::string line = std::string(1, '\0') + row;  // not filtered
  std::string packed(compressBound(static_cast<uLong>(line.size())), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(line.data()),
           static_cast<uLong>(line.size()));
  chunk("IDAT", packed.substr(0, size));
  chunk("IEND", "");
  return bytes;
}

std::string png_of_16_bits(const std::vector<uint16_t>& row) {
  std::string line;
  for (const uint16_t value : row) put(line, line.size(), value, true);
  return png_of(static_cast<uint32_t>(row.size()), 16, kGrey, line);
}

/// A BMP whose rows, from the bottom and packed, are `rows`.
std::string bmp_of(int32_t width, int32_t height, uint16_t bits, const std::string& palette,
                   const std::string& rows) {
  std::string bytes = "BM";
  const auto add = [&bytes](auto number) { put(bytes, bytes.size(), number, false); };
  const auto first = static_cast<uint32_t>(14 + 40 + palette.size());
  add(static_cast<uint32_t>(first + rows.size())), add(uint32_t{0}), add(first);
  add(uint32_t{40}), add(width), add(height), add(uint16_t{1}), add(bits), add(uint32_t{0});
  add(uint32_t{0}), add(uint32_t{0}), add(uint32_t{0}), add(static_cast<uint32_t>(palette.size() / 4)),
      add(uint32_t{0});
  return bytes + palette + rows;
}

TEST(Bmp, OfEveryDepthIsRead) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.bmp";
  const auto read = [&](const std::string& bytes) {
    write_bytes(path, bytes);
    return read_picture(path);
  };
  const std::string black_white("\0\0\0\0\xff\xff\xff\0", 8), black_red("\0\0\0\0\0\0\xff\0", 8);
  const std::string bits("\x40\0\0\0\x80\x40\0\0",
                         8);  // 10 pixels: 0 1 0 ... at the bottom, 1 ... 0 1 at the top
  Picture mask = read(bmp_of(10, 2, 1, black_white, bits));
  EXPECT_EQ(mask.channels, 1);
  std::vector<uint8_t> expected(20, 0);
  expected[0] = expected[9] = expected[11] = 255;
  EXPECT_EQ(mask.values, expected);
  EXPECT_EQ(read(bmp_of(10, -2, 1, black_white, bits)).values[1], 255);  // rows from the top

  EXPECT_EQ(read(bmp_of(3, 1, 4, black_red, std::string("\x01\x10\0\0", 4))).values,
            (std::vector<uint8_t>{0, 0, 0, 255, 0, 0, 255, 0, 0}));
  EXPECT_EQ(read(bmp_of(2, 1, 8, black_red, std::string("\1\0\0\0", 4))).values,
            (std::vector<uint8_t>{255, 0, 0, 0, 0, 0}));
  EXPECT_EQ(read(bmp_of(1, 1, 24, "", std::string("\1\2\3\0", 4))).values, (std::vector<uint8_t>{3, 2, 1}));
  EXPECT_EQ(read(bmp_of(1, 1, 32, "", "\1\2\3\4")).values, (std::vector<uint8_t>{3, 2, 1}));
}

TEST(Bmp, DamagedOnesAreRefused) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.bmp";
  const auto refusal = [&](const std::string& bytes) {
    write_bytes(path, bytes);
    return error_of([&] { read_picture(path); });
  };
  const std::string palette("\0\0\0\0\xff\xff\xff\0", 8),
      whole = bmp_of(3, 1, 8, palette, std::string("\1\0\1\0", 4));
  for (size_t size = 2; size < whole.size(); ++size)
    EXPECT_THAT(refusal(whole.substr(0, size)), HasSubstr("cut off")) << size;
  EXPECT_THAT(refusal(bmp_of(3, 1, 8, palette, std::string("\2\0\1\0", 4))), HasSubstr("it has no colour 2"));
  EXPECT_THAT(refusal(bmp_of(3, 0, 8, palette, "")), HasSubstr("3 x 0 pixels"));
  EXPECT_THAT(refusal(bmp_of(3, 1, 16, "", std::string(8, '\0'))), HasSubstr("16 bits a pixel"));
  std::string packed = whole;
  packed[30] = 1;  // run lengths
  EXPECT_THAT(refusal(packed), HasSubstr("compressed"));
}

TEST(Picture, AsAnImageThePixelsAreTheNumbersOfTheFile) {
  TemporaryFolder folder;
  const auto labels = [&](const std::string& bytes) {
    write_bytes(folder / "a.png", bytes);
    return read_labels(folder / "a.png").voxels;
  };
  const std::string colours("\0\0\0\xff\0\0\0\xff\0\0\0\xff", 12);
  EXPECT_EQ(labels(png_of(4, 8, kPalette, std::string("\0\1\2\3", 4), colours)),
            (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(labels(png_of(4, 2, kPalette, "\x1b", colours)), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(labels(png_of(4, 1, kGrey, "\x50")), (std::vector<int32_t>{0, 1, 0, 1}));
  EXPECT_EQ(labels(png_of(4, 2, kGrey, "\x1b")), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(labels(png_of(4, 4, kGrey, "\x12\x3f")), (std::vector<int32_t>{1, 2, 3, 15}));
  EXPECT_EQ(labels(png_of(2, 8, kGreyAlpha, std::string("\x07\x80\x08\x01", 4))),
            (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(labels(png_of(2, 8, kRgb, "\x07\x07\x07\x08\x08\x08")), (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(labels(png_of(1, 8, kRgbAlpha, "\x07\x07\x07\x10")), (std::vector<int32_t>{7}));
  EXPECT_EQ(labels(png_of_16_bits({0, 1, 300, 65535})), (std::vector<int32_t>{0, 1, 300, 65535}));
  EXPECT_THAT(error_of([&] { labels(png_of(1, 8, kRgb, "\x07\x07\x09")); }),
              HasSubstr("colour picture of 3"));
  // as pictures they are what is seen
  write_bytes(folder / "a.png", png_of(4, 2, kPalette, "\x1b", colours));
  EXPECT_EQ(read_picture(folder / "a.png").values, std::vector<uint8_t>(colours.begin(), colours.end()));
  write_bytes(folder / "a.png", png_of(4, 2, kGrey, "\x1b"));
  EXPECT_EQ(read_picture(folder / "a.png").values, (std::vector<uint8_t>{0, 85, 170, 255}));
}

TEST(Picture, PngKeepsEveryValue) {
  TemporaryFolder folder;
  for (const int channels : {1, 3, 4}) {
    const Picture picture = ramp(5, 3, channels);
    write_picture(folder / "a.png", picture);
    const Picture back = read_picture(folder / "a.png");
    EXPECT_EQ(back.width, 5);
    EXPECT_EQ(back.height, 3);
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.values, picture.values);
  }
}

TEST(Picture, JpegKeepsThemNearly) {
  TemporaryFolder folder;
  for (const int channels : {1, 3}) {
    Picture picture{16, 8, channels, std::vector<uint8_t>(static_cast<size_t>(16 * 8 * channels), 120)};
    write_picture(folder / "a.JPG", picture);
    const Picture back = read_picture(folder / "a.JPG");
    ASSERT_EQ(back.values.size(), picture.values.size());
    for (const uint8_t value : back.values) EXPECT_NEAR(value, 120, 2);
  }
}

TEST(Picture, SixteenBitsBecomeEight) {
  TemporaryFolder folder;
  write_bytes(folder / "a.png", png_of_16_bits({0, 128, 129, 257, 32896, 65535}));
  EXPECT_EQ(read_picture(folder / "a.png").values, (std::vector<uint8_t>{0, 0, 1, 1, 128, 255}));
  EXPECT_EQ(read_image(folder / "a.png").voxels,
            VoxelData(std::vector<uint16_t>{0, 128, 129, 257, 32896, 65535}));
}

TEST(Picture, AGreyPictureIsAnImageOfOneSlice) {
  TemporaryFolder folder;
  write_picture(folder / "a.png", ramp(5, 3, 1));
  const Image image = read_image(folder / "a.png");
  EXPECT_EQ(image.geometry.size, (Index3{5, 3, 1}));
  EXPECT_EQ(image.geometry.spacing_mm(), (Vector3{1, 1, 1}));
  EXPECT_EQ(std::get<std::vector<uint8_t>>(image.voxels), ramp(5, 3, 1).values);
  write_picture(folder / "a.png", ramp(5, 3, 3));
  EXPECT_THAT(error_of([&] { read_image(folder / "a.png"); }), HasSubstr("colour picture of 3 channels"));
}

TEST(Picture, IsKnownByItsContent) {
  TemporaryFolder folder;
  write_picture(folder / "a.png", ramp(5, 3, 3));
  std::filesystem::rename(folder / "a.png", folder / "a.jpg");
  EXPECT_EQ(read_picture(folder / "a.jpg").values, ramp(5, 3, 3).values);
}

TEST(Picture, DamageIsRefusedByName) {
  TemporaryFolder folder;
  for (const char* name : {"a.png", "a.jpg"}) {
    write_picture(folder / name, ramp(40, 30, 3));
    const std::string whole = read_bytes(folder / name);
    for (const size_t size : {size_t{0}, size_t{1}, size_t{30}, whole.size() / 2, whole.size() - 2}) {
      write_bytes(folder / name, whole.substr(0, size));
      EXPECT_THAT(error_of([&] { read_picture(folder / name); }), HasSubstr(folder / name)) << size;
    }
  }
  write_picture(folder / "a.png", ramp(40, 30, 3));
  std::string bytes = read_bytes(folder / "a.png");
  bytes[60] = static_cast<char>(bytes[60] ^ 4);
  write_bytes(folder / "a.png", bytes);
  EXPECT_THAT(error_of([&] { read_picture(folder / "a.png"); }), HasSubstr("damaged"));
  write_bytes(folder / "b.png", "Dear all");
  EXPECT_THAT(error_of([&] { read_picture(folder / "b.png"); }), HasSubstr("not a PNG"));
  EXPECT_THAT(error_of([&] { read_picture(folder / "c.png"); }), HasSubstr("no such file"));
}

TEST(Picture, WritingRefusesWhatDoesNotFit) {
  TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { write_picture(folder / "a.gif", ramp(2, 2, 3)); }),
              HasSubstr("use the ending .png"));
  EXPECT_THAT(error_of([&] { write_picture(folder / "a.jpg", ramp(2, 2, 4)); }), HasSubstr("got 4"));
  EXPECT_THAT(error_of([&] { write_picture(folder / "a.png", ramp(2, 2, 2)); }), HasSubstr("got 2"));
  Picture wrong = ramp(2, 2, 3);
  wrong.values.pop_back();
  EXPECT_THAT(error_of([&] { write_picture(folder / "a.png", wrong); }), HasSubstr("has 11 values"));
}

}  // namespace
}  // namespace mambaseg
