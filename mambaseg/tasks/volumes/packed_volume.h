#pragma once

#include <torch/types.h>

#include "mambaseg/data/crop.h"
#include "mambaseg/data/preprocess.h"

namespace mambaseg {

/// The part of the channels inside `box`, (C, i, j, k), zeros where it reaches beyond: as uint8 when every
/// value is a multiple of 1/255 (the robust rescale), which needs a quarter of the disk, `scale` then being
/// 1/255, else 1; as half-precision numbers where they are small enough to keep three digits, which need half
/// of it; else as float32.
torch::Tensor packed_image(const PreparedImage& image, const Box& box, float& scale);

/// The part of the classes inside `box`, (i, j, k), background where it reaches beyond; uint8.
torch::Tensor packed_classes(const Volume<uint8_t>& classes, const Box& box);

}  // namespace mambaseg
