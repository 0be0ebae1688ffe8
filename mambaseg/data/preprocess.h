#pragma once

#include <torch/types.h>

#include "mambaseg/core/progress.h"
#include "mambaseg/data/crop.h"
#include "mambaseg/data/plan.h"
#include "mambaseg/data/tensor_volume.h"
#include "mambaseg/io/image.h"

namespace mambaseg {

/// An image as the network sees it: values after Plan::intensity, on a grid of Plan::orientation (256^3 of 1
/// mm when conformed), not cropped.
struct PreparedImage {
  Volume<float> image;                 ///< the first channel
  Geometry input;                      ///< grid of the file
  std::vector<Volume<float>> further;  ///< the other channels, on the same grid
};

/// Throws UsageError when settings of the plan do not fit each other (patch of three edges, step within the
/// patch, a region needs labels, ...).
void check_plan(const Plan& plan);
/// The part of check_plan that reading cases needs: the orientation, and label numbers that 32 bits hold.
void check_orientation_and_labels(const Plan& plan);

/// The grid on which the network sees an image of this geometry.
Geometry network_grid(const Geometry& input, const Plan& plan);

/// FastSurfer's conform(): the image on freesurfer_grid as whole numbers 0..255. Bytes are kept as they are
/// (rounded half to even after interpolation), anything else is brought to 0..255 by the robust range of the
/// file; what is 0 stays 0. order: 0, 1 or 3.
Volume<float> freesurfer_conform(const Image& image, int order);

/// Conforms (or turns) and rescales one image (networks.md 1.8, steps 2 and 3). Voxels that are 0 stay 0 and
/// cubic interpolation cannot leave the range of the image, so that background stays background. Throws Error
/// on an image without any non-zero voxel, with NaN or infinite voxels, or with one value only; warns when
/// part of it lies outside the conformed grid.
PreparedImage prepare_image(const Image& image, const Plan& plan, const Warn& warn = {});

/// prepare_image of each channel of one case. Throws Error when they do not lie on one grid.
PreparedImage prepare_images(const std::vector<Image>& channels, const Plan& plan, const Warn& warn = {});

/// All channels, (C, i, j, k).
torch::Tensor image_tensor(const PreparedImage& image);

/// The box of voxels that are not 0 in every channel, with the plan's margin; nothing when all are 0.
std::optional<Box> head_box(const PreparedImage& image, const Plan& plan);

/// Label numbers of a file -> class numbers (LabelScheme) on the grid `network_grid`, nearest neighbour.
/// Throws Error on labels in no class when the plan says so; where it names no classes, on numbers above
/// kIgnoredClass or below 0.
Volume<uint8_t> labels_to_classes(const Volume<int32_t>& labels, const Geometry& network_grid,
                                  const Plan& plan);

/// Class numbers on the network's grid -> label numbers (LabelScheme::label_of) on the grid of the file.
Volume<int32_t> classes_to_labels(const Volume<int32_t>& classes, const Geometry& input_grid,
                                  const Plan& plan);

}  // namespace mambaseg
