#include "cli/demo_brain.h"

#include <cmath>
#include <filesystem>
#include <functional>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"

namespace mambaseg {
namespace {

/// Index along i of the voxel that lies at the same place on the other side of x = 0.
int64_t mirrored_index(const Geometry& geometry, int64_t i) {
  const double x_of_0 = geometry.voxel_to_ras_mm.offset[0];
  return std::llround(-2 * x_of_0 / geometry.voxel_to_ras_mm.matrix[0][0]) - i;
}

template <class T>
Volume<T> one_side(const Volume<T>& volume, const std::function<bool(double)>& keep_x_mm) {
  Volume<T> half(volume.geometry);
  const Index3& n = volume.geometry.size;
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i)
        if (keep_x_mm(volume.geometry.voxel_to_ras_mm({double(i), double(j), double(k)})[0]))
          half.at(i, j, k) = volume.at(i, j, k);
  return half;
}

void keep_structures(Volume<int32_t>& labels) {
  for (int32_t& label : labels.voxels) {
    bool known = false;
    for (const DemoStructure& s : demo_structures())
      known = known || label == s.left_id || label == s.right_id;
    if (!known) label = 0;
  }
}

}  // namespace

const std::vector<DemoStructure>& demo_structures() {
  static const std::vector<DemoStructure> list{{"hippocampus", 37, 38}, {"amygdala", 41, 42},
                                               {"caudate", 71, 72},     {"putamen", 73, 74},
                                               {"pallidum", 75, 76},    {"thalamus", 77, 78}};
  return list;
}

DemoBrain read_demo_brain(const std::string& folder) {
  const std::string image_path = folder + "/ch2bet.nii.gz";
  const std::string atlas_path = folder + "/aal.nii.gz";
  for (const std::string& path : {image_path, atlas_path})
    require(std::filesystem::exists(path), path,
            ": no such file; it comes with Debian's package mricron-data");
  DemoBrain brain;
  brain.image = read_volume(image_path);
  Volume<int32_t> labels = read_labels(atlas_path);
  require(same_grid(brain.image.geometry, labels.geometry) && brain.image.geometry.orientation() == "RAS",
          folder, ": expected ch2bet.nii.gz and aal.nii.gz on one RAS grid");
  keep_structures(labels);
  const auto is_left = [](double x_mm) { return x_mm < -0.25; };
  const auto is_right = [](double x_mm) { return x_mm > 0.25; };
  brain.left_image = one_side(brain.image, is_left);
  brain.right_image = one_side(brain.image, is_right);
  brain.left_labels = one_side(labels, is_left);
  brain.right_labels = one_side(labels, is_right);
  return brain;
}

void rename_to_right_side(Volume<int32_t>& labels) {
  for (int32_t& label : labels.voxels)
    for (const DemoStructure& s : demo_structures())
      if (label == s.left_id) label = s.right_id;
}

Volume<int32_t> mirrored_to_the_right(const Volume<int32_t>& left_labels) {
  Volume<int32_t> mirrored(left_labels.geometry);
  const Index3& n = left_labels.geometry.size;
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i) {
        const int64_t other = mirrored_index(left_labels.geometry, i);
        if (other >= 0 && other < n[0]) mirrored.at(i, j, k) = left_labels.at(other, j, k);
      }
  rename_to_right_side(mirrored);
  return mirrored;
}

}  // namespace mambaseg
