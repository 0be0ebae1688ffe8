// Every format that can be written: what is read is what was written.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "mambaseg/io/formats.h"
#include "tests/io/temporary_folder.h"
#include "tests/io/test_images.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class RoundTrip : public testing::TestWithParam<std::string> {
 protected:
  std::string path() const { return folder_ / ("case" + GetParam()); }
  bool is_mgh() const { return GetParam().starts_with(".mg"); }
  /// The file with the voxels: another one than path() in formats of two files.
  std::string voxel_path() const {
    for (const auto& [header, voxels] :
         {std::pair(".hdr", ".img"), std::pair(".mhd", ".zraw"), std::pair(".nhdr", ".raw.gz")})
      if (GetParam() == header) return folder_ / (std::string("case") + voxels);
    return path();
  }
  TemporaryFolder folder_;
};

/// The endings of every format that has a writer.
std::vector<std::string> written_endings() {
  std::vector<std::string> endings;
  for (const ImageFormat& format : image_formats())
    if (format.write != nullptr) endings.insert(endings.end(), format.endings.begin(), format.endings.end());
  return endings;
}

TEST_P(RoundTrip, KeepsAllFortyEightOrientations) {
  Geometry straight;
  straight.size = {4, 3, 2};
  straight.voxel_to_ras_mm.matrix = {{{0.75, 0, 0}, {0, 1.5, 0}, {0, 0, 4}}};
  straight.voxel_to_ras_mm.offset = {-30.5, 12.25, 7};
  const Image image = counting_image<float>(straight);
  const Volume<float> volume{[&] {
    Volume<float> v(straight);
    v.voxels = std::get<std::vector<float>>(image.voxels);
    return v;
  }()};
  std::array<int, 3> order{0, 1, 2};
  do {
    for (int flips = 0; flips < 8; ++flips) {
      const char* pairs[3] = {"LR", "PA", "IS"};
      std::string to;
      for (int a = 0; a < 3; ++a) to += pairs[order[static_cast<size_t>(a)]][flips >> a & 1];
      const Volume<float> turned = permuted(volume, permutation_between("RAS", to));
      write_volume(path(), turned);
      const Volume<float> back = read_volume(path());
      ASSERT_EQ(back.voxels, turned.voxels) << to;
      ASSERT_EQ(back.geometry.size, turned.geometry.size) << to;
      ASSERT_EQ(back.geometry.orientation(), to);
      ASSERT_LE(difference(back.geometry.voxel_to_ras_mm, turned.geometry.voxel_to_ras_mm), 1e-12) << to;
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_P(RoundTrip, KeepsAnObliqueGrid) {
  const Image image = counting_image<int16_t>(oblique_grid(), -20);
  write_image(path(), image);
  std::vector<std::string> warnings;
  const Image back = read_image(path(), [&](const std::string& line) { warnings.push_back(line); });
  EXPECT_EQ(back.geometry.size, image.geometry.size);
  // MGH holds unit directions and a centre as float: one rounding of each, of numbers up to 128 mm.
  const double tolerance =
      is_mgh()                                                                                ? 2e-5
      : GetParam().ends_with("rrd") || GetParam() == ".nhdr" || GetParam().starts_with(".mh") ? 1e-12
                                                                                              : 0;
  EXPECT_LE(difference(back.geometry.voxel_to_ras_mm, image.geometry.voxel_to_ras_mm), tolerance);
  EXPECT_EQ(back.voxels, image.voxels);
  EXPECT_EQ(read_geometry(path()), back.geometry);
  EXPECT_THAT(warnings, testing::IsEmpty());
}

TEST_P(RoundTrip, ASecondTripChangesNothing) {
  write_image(path(), counting_image<uint8_t>(oblique_grid()));
  const Image first = read_image(path());
  write_image(path(), first);
  const Image second = read_image(path());
  EXPECT_LE(difference(second.geometry.voxel_to_ras_mm, first.geometry.voxel_to_ras_mm),
            is_mgh() ? 2e-5 : 1e-12);
  EXPECT_EQ(second.voxels, first.voxels);
}

TEST_P(RoundTrip, KeepsNumberTypes) {
  const Geometry g = oblique_grid();
  const Image images[] = {counting_image<uint8_t>(g, 190),          counting_image<int8_t>(g, -60),
                          counting_image<uint16_t>(g, 60000),       counting_image<int16_t>(g, -32768),
                          counting_image<uint32_t>(g, 4000000000u), counting_image<int32_t>(g, -2147483647),
                          counting_image<uint64_t>(g, 1ull << 63),  counting_image<int64_t>(g, -(1ll << 60)),
                          counting_image<float>(g, 0.1f),           counting_image<double>(g, 0.1)};
  for (const Image& image : images) {
    const size_t type = image.voxels.index();
    if (is_mgh()) {
      if (type == 4 || type == 6 || type == 7) {  // whole numbers beyond 32 bits with sign
        EXPECT_THAT(error_of([&] { write_image(path(), image); }), HasSubstr("MGH has no type"));
        continue;
      }
      write_image(path(), image);
      const VoxelData back = read_image(path()).voxels;
      const auto as_double = [](const VoxelData& voxels) {
        return std::visit([](const auto& v) { return std::vector<double>(v.begin(), v.end()); }, voxels);
      };
      if (type == 9) {  // double becomes float
        EXPECT_THAT(as_double(back), testing::Pointwise(testing::FloatEq(), as_double(image.voxels)));
      } else {
        EXPECT_EQ(as_double(back), as_double(image.voxels)) << type;
      }
    } else {
      write_image(path(), image);
      EXPECT_EQ(read_image(path()).voxels, image.voxels) << type;
    }
  }
}

TEST_P(RoundTrip, LabelsTakeTheSmallestType) {
  Volume<int32_t> labels(oblique_grid(), 0);
  const std::pair<int32_t, size_t> cases[] = {{255, 0},    {256, 3},    {-1, 3},
                                              {32767, 3},  {-32768, 3}, {32768, 5},
                                              {-32769, 5}, {-40000, 5}, {INT32_MIN, 5}};
  for (const auto& [value, type] : cases) {
    labels.voxels[7] = value;
    write_labels(path(), labels);
    EXPECT_EQ(read_image(path()).voxels.index(), type) << value;
    EXPECT_EQ(read_labels(path()).voxels, labels.voxels);
  }
}

TEST_P(RoundTrip, LabelsOfManyVoxels) {  // more than are packed at once
  Geometry g;
  g.size = {120, 100, 90};
  for (const int32_t step : {1, 100, 100'000}) {
    Volume<int32_t> labels(g);
    for (size_t v = 0; v < labels.voxels.size(); ++v)
      labels.voxels[v] = static_cast<int32_t>(v / 7 % 251) * step;
    write_labels(path(), labels);
    EXPECT_EQ(read_labels(path()).voxels, labels.voxels) << step;
  }
}

TEST_P(RoundTrip, OneVoxelIsEnough) {
  Geometry g;
  g.size = {1, 1, 1};
  write_image(path(), counting_image<uint8_t>(g, 9));
  EXPECT_EQ(read_image(path()).voxels, VoxelData(std::vector<uint8_t>{9}));
  EXPECT_EQ(read_image(path()).geometry, g);
}

TEST_P(RoundTrip, AFileThatIsCutOffIsRefusedByName) {
  write_image(path(), counting_image<double>(oblique_grid()));
  const std::string victim = voxel_path();
  const std::string whole = read_bytes(victim);
  for (const double share : {0.0, 0.01, 0.3, 0.9, 1.0}) {
    const size_t size =
        share < 1 ? static_cast<size_t>(share * static_cast<double>(whole.size())) : whole.size() - 1;
    write_bytes(victim, whole.substr(0, size));
    EXPECT_THAT(error_of([&] { read_image(path()); }), HasSubstr(path())) << size << " bytes";
  }
}

TEST_P(RoundTrip, WritingIntoNothingIsRefusedByName) {
  const Image image = counting_image<uint8_t>(oblique_grid());
  const std::string nowhere = folder_ / ("none/case" + GetParam());
  const std::string message = error_of([&] { write_image(nowhere, image); });
  EXPECT_THAT(message, HasSubstr("there is no folder"));
  EXPECT_THAT(message, HasSubstr("none/case"));
}

TEST_P(RoundTrip, NothingButTheFileIsLeft) {
  write_image(path(), counting_image<uint8_t>(oblique_grid()));
  write_image(path(), counting_image<uint8_t>(oblique_grid()));
  const auto count = std::distance(fs::directory_iterator(folder_.string()), fs::directory_iterator());
  EXPECT_EQ(count, voxel_path() == path() ? 1 : 2);
}

INSTANTIATE_TEST_SUITE_P(Formats, RoundTrip, testing::ValuesIn(written_endings()), [](const auto& info) {
  std::string name = info.param.substr(1);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

}  // namespace
}  // namespace mambaseg
