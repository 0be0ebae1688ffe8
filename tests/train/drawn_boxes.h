#pragma once

#include <string>
#include <vector>

#include "mambaseg/io/image.h"

namespace mambaseg {

/// Voxels from `corner` on that have a value in the image and another in the labels.
struct Box {
  Index3 corner, size;
  float value;
  int32_t label;
};

/// Writes an image that is even but for some boxes, and its labels, which are 0 elsewhere.
inline void draw_boxes(const std::string& image_path, const std::string& labels_path, const Index3& size,
                       float ground, const std::vector<Box>& boxes) {
  Geometry geometry;
  geometry.size = size;
  Volume<float> image(geometry, ground);
  Volume<int32_t> labels(geometry);
  for (const auto& [corner, edges, value, label] : boxes)
    for (int64_t k = corner[2]; k < corner[2] + edges[2]; ++k)
      for (int64_t j = corner[1]; j < corner[1] + edges[1]; ++j)
        for (int64_t i = corner[0]; i < corner[0] + edges[0]; ++i) {
          image.at(i, j, k) = value;
          labels.at(i, j, k) = label;
        }
  write_volume(image_path, image);
  write_labels(labels_path, labels);
}

}  // namespace mambaseg
