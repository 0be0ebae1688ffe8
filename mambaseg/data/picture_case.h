#pragma once

#include <torch/types.h>

#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/picture_mask.h"
#include "mambaseg/data/picture_plan.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {

/// Throws UsageError when settings of the plan do not fit each other.
void check_plan(const PicturePlan& plan);

/// The picture as the network sees it, (channels, height, width) uint8 on a scale of 1/255: alpha dropped,
/// colours or grey as the plan says, resized bilinearly with the filter widened
/// where the picture shrinks, so that nothing is skipped, intensity by the plan.
torch::Tensor network_input(const Picture& picture, const PicturePlan& plan);

/// structure_of (picture_mask.h) as (Y, X) uint8 of 0 and 1.
torch::Tensor mask_of(const PictureNumbers& mask, int64_t threshold);

/// A map (Y, X) float32 resized bilinearly, widened where it shrinks.
torch::Tensor resized(const torch::Tensor& map_YX, int64_t height, int64_t width);

/// Reads a picture and its mask at the size of the network; a pixel is the structure where the mask covers at
/// least half of it. Throws Error with the case's id in front: unreadable, sizes that differ.
PreparedCase prepare_picture(const Case& one, const PicturePlan& plan);

/// What is wrong with pictures and masks: those that prepare_picture refuses, and masks that are all empty.
std::vector<std::string> problems_of_pictures(const std::vector<Case>& cases, const PicturePlan& plan,
                                              const Progress& progress = {});

Preparation picture_preparation(const PicturePlan& plan);

}  // namespace mambaseg
