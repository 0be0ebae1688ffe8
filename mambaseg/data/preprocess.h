#pragma once

#include "mambaseg/core/progress.h"
#include "mambaseg/data/plan.h"
#include "mambaseg/data/tensor_volume.h"
#include "mambaseg/io/image.h"

namespace mambaseg {

/// An image as the network sees it: values after Plan::intensity, on a grid of Plan::orientation (256^3 of 1 mm when
/// conformed), not cropped.
struct PreparedImage {
  Volume<float> image;
  Geometry input;  ///< grid of the file
};

/// Conforms (or turns) and rescales one image. Throws Error on an image without any non-zero voxel.
PreparedImage prepare_image(const Image& image, const Plan& plan, const Warn& warn = {});

/// Label numbers of a file -> class numbers on the grid `network_grid`, nearest neighbour.
Volume<int32_t> labels_to_classes(const Volume<int32_t>& labels, const Geometry& network_grid, const Plan& plan);

/// Class numbers on the network's grid -> label numbers (first id of each class) on the grid of the file.
Volume<int32_t> classes_to_labels(const Volume<int32_t>& classes, const Geometry& input_grid, const Plan& plan);

}  // namespace mambaseg
