// The models in the box, as they are shipped, on images that they were not trained on.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <map>

#include "mambaseg/config/config.h"
#include "mambaseg/core/volume.h"
#include "mambaseg/data/picture_mask.h"
#include "mambaseg/io/image.h"
#include "tests/cli/program.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

double dice(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  int64_t both = 0, sum = 0;
  for (size_t p = 0; p < a.size(); ++p) both += a[p] && b[p], sum += a[p] + b[p];
  return 2.0 * static_cast<double>(both) / static_cast<double>(sum);
}

TEST(ShippedModels, SkinLesionFindsTwoLesions) {
  const TemporaryFolder folder;
  const std::string pictures = MAMBASEG_SOURCE_DIR "/tests/cli/isic2017";
  const ProgramResult result =
      run_mambaseg("segment " + pictures + "/images -o " + (folder / "out") + " -m skin-lesion");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  // Dice of the weights that come along, as they were when they were put there.
  for (const auto& [name, shipped] :
       std::map<std::string, double>{{"ISIC_0014600", 0.948}, {"ISIC_0016003", 0.895}}) {
    const auto found = structure_of(read_picture_numbers(folder / ("out/" + name + ".png")));
    const auto drawn = structure_of(read_picture_numbers(pictures + "/masks/" + name + ".png"));
    ASSERT_EQ(found.size(), drawn.size());
    EXPECT_NEAR(dice(found, drawn), shipped, 0.01) << name;
    EXPECT_EQ(read_json(folder / ("out/" + name + ".json"))["flags"], Json::array()) << name;
  }
}

// Its scans read planes of 256 and of 64 tokens.
TEST(ShippedModels, SkinLesionQuartersPlanesOfThatManyTokensAndNoOthers) {
  const TemporaryFolder folder;
  const std::string pictures = MAMBASEG_SOURCE_DIR "/tests/cli/isic2017";
  const auto masks = [&](const std::string& more) {
    const std::string out = folder / ("out" + more);
    const ProgramResult result =
        run_mambaseg("predict -m " MAMBASEG_SOURCE_DIR "/models/skin-lesion/skin-lesion.safetensors -i " +
                     pictures + "/images -o '" + out + "' " + more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::map<std::string, std::vector<uint8_t>> found;
    for (const char* name : {"ISIC_0014600", "ISIC_0016003"})
      found[name] = structure_of(read_picture_numbers(out + "/" + name + ".png"));
    return found;
  };
  const auto whole = masks(""), none = masks("--quarter-map 257"), fine = masks("--quarter-map 65"),
             all = masks("--quarter-map 1");
  EXPECT_EQ(none, whole);
  EXPECT_NE(fine, whole);
  EXPECT_NE(all, fine);
}

/// Numbers of FreeSurfer that the AAL atlas has as well: of FreeSurfer, of AAL.
constexpr std::array<std::array<int32_t, 2>, 12> kInBoth{{{17, 37},
                                                          {53, 38},
                                                          {18, 41},
                                                          {54, 42},
                                                          {11, 71},
                                                          {50, 72},
                                                          {12, 73},
                                                          {51, 74},
                                                          {13, 75},
                                                          {52, 76},
                                                          {10, 77},
                                                          {49, 78}}};

TEST(ShippedModels, SubcorticalFindsTheStructuresOfColin27OnTheRightSides) {
  const std::string templates = MAMBASEG_TEMPLATES;
  const std::string head = templates + "/ch2.nii.gz";
  if (!std::filesystem::exists(head)) GTEST_SKIP() << "Debian's mricron-data is not there";
  const TemporaryFolder folder;
  const ProgramResult result = run_mambaseg("segment " + head + " -o " + (folder / "out"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Volume<int32_t> found = read_labels(folder / "out/ch2.nii.gz");
  const Volume<int32_t> atlas = read_labels(templates + "/aal.nii.gz");
  ASSERT_TRUE(same_grid(found.geometry, atlas.geometry));
  std::map<int32_t, std::array<double, 3>> counts;  // of FreeSurfer's number: found, in the atlas, in both
  std::map<int32_t, double> side;                   // sum of x in mm, right is positive
  const Index3& n = found.geometry.size;
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i)
        for (const auto& [number, of_atlas] : kInBoth) {
          const bool here = found.at(i, j, k) == number, there = atlas.at(i, j, k) == of_atlas;
          auto& count = counts[number];
          count[0] += here, count[1] += there, count[2] += here && there;
          if (here) side[number] += found.geometry.voxel_to_ras_mm({double(i), double(j), double(k)})[0];
        }
  double mean = 0;
  for (size_t s = 0; s < kInBoth.size(); ++s) {
    const auto& count = counts[kInBoth[s][0]];
    mean += 2 * count[2] / (count[0] + count[1]) / static_cast<double>(kInBoth.size());
    EXPECT_EQ(side[kInBoth[s][0]] > 0, s % 2 == 1) << kInBoth[s][0];
  }
  EXPECT_GT(mean, 0.66);  // 0.69 when it was shipped; the atlas was drawn by another protocol
}

}  // namespace
}  // namespace mambaseg
