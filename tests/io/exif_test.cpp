#include "mambaseg/io/exif.h"

#include <gtest/gtest.h>

#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

/// An APP1 segment whose first directory names a width and then the orientation.
std::string app1(int orientation, bool little_endian) {
  std::string tiff(38, '\0');
  const auto put = [&](size_t at, uint32_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i)
      tiff[at + (little_endian ? i : bytes - 1 - i)] = static_cast<char>(value >> 8 * i & 255);
  };
  tiff.replace(0, 2, little_endian ? "II" : "MM");
  put(2, 42, 2);
  put(4, 8, 4);  // place of the directory
  put(8, 2, 2);  // entries
  put(10, 0x0100, 2), put(12, 3, 2), put(14, 1, 4), put(18, 640, 2);
  put(22, 0x0112, 2), put(24, 3, 2), put(26, 1, 4), put(30, static_cast<uint32_t>(orientation), 2);
  const std::string body = std::string("Exif\0\0", 6) + tiff;
  const size_t length = body.size() + 2;
  return std::string("\xff\xe1") + static_cast<char>(length >> 8) + static_cast<char>(length & 255) + body;
}

std::string jpeg_with(const std::string& segment) {
  return std::string("\xff\xd8") + std::string("\xff\xe0\x00\x04JF", 6) + segment +
         std::string("\xff\xda\x00\x02", 4);
}

TEST(ExifOrientation, IsFoundInBothByteOrders) {
  for (const bool little : {true, false})
    for (int o = 1; o <= 8; ++o) EXPECT_EQ(exif_orientation(jpeg_with(app1(o, little))), o);
}

TEST(ExifOrientation, IsFoundInAPng) {
  const auto chunk = [](const std::string& type, const std::string& content) {
    return std::string(3, '\0') + static_cast<char>(content.size()) + type + content + "sum.";
  };
  const std::string tiff = app1(6, false).substr(4 + 6);
  const std::string start = "\x89PNG\r\n\x1a\n" + chunk("IHDR", std::string(13, '\1'));
  EXPECT_EQ(exif_orientation(start + chunk("eXIf", tiff) + chunk("IEND", "")), 6);
  EXPECT_EQ(exif_orientation(start + chunk("IEND", "")), 1);
  EXPECT_EQ(exif_orientation((start + chunk("eXIf", tiff)).substr(0, start.size() + 20)), 1);
}

TEST(ExifOrientation, IsOneWithoutATagAndInDamagedFiles) {
  EXPECT_EQ(exif_orientation(jpeg_with("")), 1);
  EXPECT_EQ(exif_orientation(jpeg_with(app1(9, true))), 1);
  const std::string whole = jpeg_with(app1(6, true));
  for (size_t size = 0; size < 40; ++size) EXPECT_EQ(exif_orientation(whole.substr(0, size)), 1) << size;
  std::string far = whole;
  far[2 + 6 + 4 + 6 + 4] = '\x7f';  // the directory lies behind the end
  EXPECT_EQ(exif_orientation(far), 1);
}

/// 1 2 3
/// 4 5 6
const Picture kStored{3, 2, 1, {1, 2, 3, 4, 5, 6}};

TEST(Upright, FollowsTheTable) {
  const std::vector<std::vector<uint8_t>> expected{{1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1},
                                                   {4, 5, 6, 1, 2, 3}, {1, 4, 2, 5, 3, 6}, {4, 1, 5, 2, 6, 3},
                                                   {6, 3, 5, 2, 4, 1}, {3, 6, 2, 5, 1, 4}};
  for (int o = 1; o <= 8; ++o) {
    const Picture shown = upright(kStored, o);
    EXPECT_EQ(shown.values, expected[static_cast<size_t>(o - 1)]) << o;
    EXPECT_EQ(shown.width, o >= 5 ? 2 : 3) << o;
    EXPECT_EQ(shown.height, o >= 5 ? 3 : 2) << o;
  }
}

TEST(Upright, KeepsColoursTogether) {
  const Picture stored{2, 1, 3, {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(upright(stored, 3).values, (std::vector<uint8_t>{4, 5, 6, 1, 2, 3}));
}

TEST(ReadPicture, TurnsAJpegAsItsExifPartSays) {
  TemporaryFolder folder;
  Picture dark_left{16, 8, 1, std::vector<uint8_t>(16 * 8, 200)};
  for (size_t y = 0; y < 8; ++y)
    for (size_t x = 0; x < 8; ++x) dark_left.values[16 * y + x] = 20;
  write_picture(folder / "a.jpg", dark_left);
  std::string bytes = read_bytes(folder / "a.jpg");
  bytes.insert(2, app1(6, false));  // to be turned right: the left side becomes the top
  write_bytes(folder / "a.jpg", bytes);
  const Picture shown = read_picture(folder / "a.jpg");
  ASSERT_EQ(shown.width, 8);
  ASSERT_EQ(shown.height, 16);
  EXPECT_NEAR(shown.values[3], 20, 8);
  EXPECT_NEAR(shown.values[8 * 15 + 3], 200, 8);
}

}  // namespace
}  // namespace mambaseg
