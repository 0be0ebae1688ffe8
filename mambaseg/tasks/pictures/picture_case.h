#pragma once

#include <torch/types.h>

#include "mambaseg/data/case_cache.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/tasks/pictures/picture_plan.h"

namespace mambaseg {

/// Throws UsageError when settings of the plan do not fit each other.
void check_plan(const PicturePlan& plan);

/// Throws Error when a picture has not as many files as the plan says, of one size and with its channels.
void check_channels(const std::vector<Picture>& files, const PicturePlan& plan);

/// A picture as the network sees it, (channels, height, width) uint8 on a scale of 1/255, from its files, one
/// in most cases: alpha dropped, colours or grey as the plan says, resized bilinearly with the filter widened
/// where the picture shrinks, so that nothing is skipped, intensity by the plan, of each file for itself.
/// Throws Error as check_channels.
torch::Tensor network_input(const std::vector<Picture>& files, const PicturePlan& plan);

/// A map (Y, X) float32 resized bilinearly, widened where it shrinks.
torch::Tensor resized(const torch::Tensor& map_YX, int64_t height, int64_t width);

/// Class numbers (Y, X) uint8 at another size: the class that covers most of a pixel.
torch::Tensor resized_classes(const torch::Tensor& classes_YX, int64_t height, int64_t width);

/// Reads a picture and its mask at the size of the network; a pixel is of the class that covers most of it (a
/// structure of masks: at least half). Throws Error with the case's id in front: unreadable, sizes that
/// differ.
PreparedCase prepare_picture(const Case& one, const PicturePlan& plan);

/// What is wrong with pictures and masks: those that prepare_picture refuses, and masks that are all empty.
std::vector<std::string> problems_of_pictures(const std::vector<Case>& cases, const PicturePlan& plan,
                                              const Progress& progress = {});

Preparation picture_preparation(const PicturePlan& plan);

}  // namespace mambaseg
