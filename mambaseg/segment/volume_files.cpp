#include "mambaseg/segment/volume_files.h"

#include <algorithm>
#include <variant>

#include "mambaseg/core/error.h"
#include "mambaseg/report/overlay.h"

namespace mambaseg {

std::string names_of_numbers(const std::vector<LabelClass>& classes) {
  std::string text;
  for (const LabelClass& one : classes) text += concat(one.ids.at(0), " ", one.name, "\n");
  return text;
}

std::vector<int32_t> numbers_of(const std::vector<LabelClass>& classes) {
  std::vector<int32_t> numbers;
  for (const LabelClass& one : classes) numbers.push_back(static_cast<int32_t>(one.ids.at(0)));
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

void draw_labels(const std::string& path, const Image& image, const Volume<int32_t>& labels,
                 const std::vector<LabelClass>& classes) {
  Volume<float> grey(image.geometry);
  std::visit([&](const auto& voxels) { std::copy(voxels.begin(), voxels.end(), grey.voxels.begin()); },
             image.voxels);
  OverlayStyle style;
  style.labels = numbers_of(classes);
  const std::vector<OverlayRow> rows{{"", nullptr}, {"", &labels}};
  write_three_planes(path, grey, rows, fullest_slices(labels), style);
}

}  // namespace mambaseg
