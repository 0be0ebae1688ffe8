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
      known = known || label == s.aal_left || label == s.aal_right;
    if (!known) label = 0;
  }
}

/// Reads an image and the atlas; returns the path of the image.
std::string read_with_atlas(const std::string& folder, const char* name, Volume<float>& image,
                            Volume<int32_t>& atlas) {
  const std::string image_path = folder + "/" + name, atlas_path = folder + "/aal.nii.gz";
  for (const std::string& path : {image_path, atlas_path})
    require(std::filesystem::exists(path), path,
            ": no such file; it comes with Debian's package mricron-data");
  image = read_volume(image_path);
  atlas = read_labels(atlas_path);
  require(same_grid(image.geometry, atlas.geometry) && image.geometry.orientation() == "RAS", folder,
          ": expected ", name, " and aal.nii.gz on one RAS grid");
  return image_path;
}

}  // namespace

const std::vector<DemoStructure>& demo_structures() {
  static const std::vector<DemoStructure> list{{"hippocampus", 37, 38, 17, 53}, {"amygdala", 41, 42, 18, 54},
                                               {"caudate", 71, 72, 11, 50},     {"putamen", 73, 74, 12, 51},
                                               {"pallidum", 75, 76, 13, 52},    {"thalamus", 77, 78, 10, 49}};
  return list;
}

DemoBrain read_demo_brain(const std::string& folder) {
  DemoBrain brain;
  Volume<int32_t> labels;
  read_with_atlas(folder, "ch2bet.nii.gz", brain.image, labels);
  keep_structures(labels);
  const auto is_left = [](double x_mm) { return x_mm < -0.25; };
  const auto is_right = [](double x_mm) { return x_mm > 0.25; };
  brain.left_image = one_side(brain.image, is_left);
  brain.right_image = one_side(brain.image, is_right);
  brain.left_labels = one_side(labels, is_left);
  brain.right_labels = one_side(labels, is_right);
  return brain;
}

DemoHead read_demo_head(const std::string& folder) {
  DemoHead head;
  head.path = read_with_atlas(folder, "ch2.nii.gz", head.image, head.atlas);
  keep_structures(head.atlas);
  for (int32_t& label : head.atlas.voxels)
    for (const DemoStructure& s : demo_structures()) {
      if (label == s.aal_left)
        label = s.freesurfer_left;
      else if (label == s.aal_right)
        label = s.freesurfer_right;
    }
  return head;
}

void rename_to_right_side(Volume<int32_t>& labels) {
  for (int32_t& label : labels.voxels)
    for (const DemoStructure& s : demo_structures())
      if (label == s.aal_left) label = s.aal_right;
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
