#pragma once

#include "mambaseg/tasks/pictures/picture_labels.h"

namespace mambaseg {

/// The picture with the contour of each class of class numbers (Y, X) of its size.
Picture overlay_of(const Picture& picture, const torch::Tensor& classes_YX, const PictureLabels& labels);

}  // namespace mambaseg
