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
  for (const std::string name : {"ISIC_0014600", "ISIC_0016003"}) {
    const auto found = structure_of(read_picture_numbers(folder / ("out/" + name + ".png")));
    const auto drawn = structure_of(read_picture_numbers(pictures + "/masks/" + name + ".png"));
    ASSERT_EQ(found.size(), drawn.size());
    EXPECT_GT(dice(found, drawn), 0.9) << name;  // 0.93 when it was shipped
    EXPECT_EQ(read_json(folder / ("out/" + name + ".json"))["flags"], Json::array()) << name;
  }
}

}  // namespace
}  // namespace mambaseg
