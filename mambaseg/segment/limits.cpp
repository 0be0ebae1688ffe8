#include "mambaseg/segment/limits.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr double kAirLow = -1100, kAirHigh = -500;  // Hounsfield units: air is -1000

double rounded(double value) { return std::round(value * 100) / 100; }

/// action(value) for each voxel, as double.
template <class Action>
void for_each_value(const Image& image, const Action& action) {
  std::visit(
      [&](const auto& voxels) {
        for (const auto value : voxels) action(static_cast<double>(value));
      },
      image.voxels);
}

double value_at(const Image& image, size_t v) {
  return std::visit([v](const auto& voxels) { return static_cast<double>(voxels[v]); }, image.voxels);
}

/// The smallest box that holds what is not 0: first and last index along each axis.
struct Extent3 {
  Index3 first{}, last{-1, -1, -1};
};

Extent3 filled_part(const Image& image) {
  const Index3& n = image.geometry.size;
  Extent3 box{n, {-1, -1, -1}};
  size_t v = 0;
  std::visit(
      [&](const auto& voxels) {
        for (int64_t k = 0; k < n[2]; ++k)
          for (int64_t j = 0; j < n[1]; ++j)
            for (int64_t i = 0; i < n[0]; ++i)
              if (voxels[v++] != 0) {
                const Index3 at{i, j, k};
                for (size_t a = 0; a < 3; ++a) {
                  box.first[a] = std::min(box.first[a], at[a]);
                  box.last[a] = std::max(box.last[a], at[a]);
                }
              }
      },
      image.voxels);
  return box;
}

/// mm2 with which each number lies on the faces of the box.
std::map<int64_t, double> areas_on_faces(const Volume<int32_t>& labels, const Extent3& box) {
  const Vector3 mm = labels.geometry.spacing_mm();
  std::map<int64_t, double> areas;
  for (size_t a = 0; a < 3; ++a) {
    const size_t b = (a + 1) % 3, c = (a + 2) % 3;
    for (const int64_t face : {box.first[a], box.last[a]}) {
      Index3 at;
      at[a] = face;
      for (at[b] = box.first[b]; at[b] <= box.last[b]; ++at[b])
        for (at[c] = box.first[c]; at[c] <= box.last[c]; ++at[c])
          if (const int32_t label = labels.at(at[0], at[1], at[2]); label != 0) areas[label] += mm[b] * mm[c];
    }
  }
  return areas;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The median value of the structures of these names; NaN where there are none.
double median_of(const Image& image, const Volume<int32_t>& labels,
                 const std::vector<StructureFinding>& structures, const std::vector<std::string>& names) {
  std::vector<int64_t> ids;
  for (const StructureFinding& one : structures)
    if (contains(names, one.name)) ids.push_back(one.id);
  std::vector<double> values;
  for (size_t v = 0; v < labels.voxels.size(); ++v)
    if (labels.voxels[v] != 0 && std::find(ids.begin(), ids.end(), labels.voxels[v]) != ids.end())
      values.push_back(value_at(image, v));
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::vector<std::string> check_image(const Image& image, const ModelLimits& limits) {
  int64_t count = 0, filled = 0, air = 0;
  for_each_value(image, [&](double value) {
    ++count;
    filled += value != 0;
    air += value >= kAirLow && value <= kAirHigh;
  });
  require(filled > 0, "the image is all zero: there is nothing to segment");
  const double share = static_cast<double>(air) / static_cast<double>(count);
  require(limits.ct_share == 0 || share < limits.ct_share, "this seems to be CT (", rounded(100 * share),
          " % of the voxels have Hounsfield numbers of air); the model has learned MRI");
  const Vector3 mm = image.geometry.spacing_mm();
  const double thickest = std::max({mm[0], mm[1], mm[2]});
  require(limits.slice_mm_refused == 0 || thickest <= limits.slice_mm_refused, "the slices are ",
          rounded(thickest), " mm apart; expected at most ", limits.slice_mm_refused, " mm");
  if (limits.slice_mm == 0 || thickest <= limits.slice_mm) return {};
  return {concat("thick slices: ", rounded(thickest), " mm, expected at most ", limits.slice_mm, " mm")};
}

void check_found(const Volume<int32_t>& first_labels, const ModelLimits& limits) {
  if (limits.least_found_ml == 0) return;  // no lesion in a brain is an answer
  const auto voxels = std::count_if(first_labels.voxels.begin(), first_labels.voxels.end(),
                                    [](int32_t label) { return label != 0; });
  const double ml = static_cast<double>(voxels) * first_labels.geometry.voxel_volume_mm3() / 1000;
  require(ml >= limits.least_found_ml, "no head was found: what the first look labels fills ", rounded(ml),
          " ml, expected at least ", limits.least_found_ml, " ml");
}

std::vector<std::string> check_labels(const Image& image, const Volume<int32_t>& labels,
                                      const std::vector<StructureFinding>& structures,
                                      const ModelLimits& limits) {
  std::vector<std::string> flags, cut, implausible;
  if (limits.border_mm2 > 0) {
    const auto areas = areas_on_faces(labels, filled_part(image));
    for (const StructureFinding& one : structures)
      if (const auto found = areas.find(one.id); found != areas.end() && found->second > limits.border_mm2 &&
                                                 !contains(limits.border_free, one.name))
        cut.push_back(concat(one.name, " (", rounded(found->second), " mm2)"));
  }
  if (!cut.empty()) flags.push_back("cut off at the border of the image: " + joined(cut));
  for (const StructureFinding& one : structures)
    if (const auto range = limits.volumes_ml.find(one.name); range != limits.volumes_ml.end()) {
      const double ml = one.mm3 / 1000;
      if (ml < range->second[0] || ml > range->second[1])
        implausible.push_back(concat(one.name, " ", rounded(ml), " ml"));
    }
  if (!implausible.empty()) flags.push_back("implausible volumes: " + joined(implausible));
  for (const ContrastLimit& contrast : limits.contrast) {
    const double ratio = median_of(image, labels, structures, contrast.dark) /
                         median_of(image, labels, structures, contrast.bright);
    if (ratio > contrast.ratio)
      flags.push_back(concat("another contrast than the model has learned: ", joined(contrast.dark), " over ",
                             joined(contrast.bright), " is ", rounded(ratio), ", expected at most ",
                             contrast.ratio));
  }
  return flags;
}

std::vector<std::string> check_picture(const Picture& picture, const ModelLimits& limits) {
  if (limits.least_chroma == 0 && limits.least_warm == 0) return {};
  double chroma = 0, warm = 0;
  const int64_t pixels = picture.width * picture.height;
  if (picture.channels >= 3)
    for (int64_t p = 0; p < pixels; ++p) {
      const uint8_t* rgb = &picture.values[static_cast<size_t>(p * picture.channels)];
      chroma += std::max({rgb[0], rgb[1], rgb[2]}) - std::min({rgb[0], rgb[1], rgb[2]});
      warm += rgb[0] > rgb[1] && rgb[0] > rgb[2];
    }
  chroma /= static_cast<double>(pixels);
  warm /= static_cast<double>(pixels);
  require(chroma >= limits.least_chroma, "a grey picture (colours differ by ", rounded(chroma),
          " on average, expected ", limits.least_chroma, " of 255 or more); the model has learned colours");
  if (warm >= limits.least_warm) return {};
  return {concat("this does not look like skin: ", rounded(100 * warm),
                 " % of the pixels are reddish, expected at least ", 100 * limits.least_warm, " %")};
}

}  // namespace mambaseg
