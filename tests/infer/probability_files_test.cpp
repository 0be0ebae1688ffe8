#include "mambaseg/infer/probability_files.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

TEST(ProbabilityFiles, HoldEachClassOnItsGrid) {
  const TemporaryFolder folder;
  Geometry grid;
  grid.size = {3, 2, 4};
  grid.voxel_to_ras_mm.offset = {5, 6, 7};
  const auto p = torch::rand({2, 3, 2, 4});
  const std::string output = folder / "case.nii.gz";
  {
    ProbabilityFiles files(output, 2, grid);
    for (int64_t z = 0; z < 3; ++z) files.add(p.select(3, z));
    EXPECT_THROW(files.write(), Error);  // one slice is missing
    files.add(p.select(3, 3));
    files.write();
  }
  for (int64_t k = 0; k < 2; ++k) {
    const auto image = read_volume(ProbabilityFiles::path_of(output, k));
    EXPECT_TRUE(same_grid(image.geometry, grid));
    EXPECT_NEAR(image.at(2, 1, 3), 255 * p[k][2][1][3].item<float>(), 0.5001);
    EXPECT_NEAR(image.at(1, 0, 2), 255 * p[k][1][0][2].item<float>(), 0.5001);
  }
  int left = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.string()))
    left += entry.is_regular_file();
  EXPECT_EQ(left, 2);  // no waiting file stays
}

}  // namespace
}  // namespace mambaseg
