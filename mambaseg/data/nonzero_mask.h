#pragma once

#include <cstdint>
#include <span>

#include "mambaseg/core/volume.h"

namespace mambaseg {

/// 1 where any channel is not 0, and in the holes that such voxels enclose (not connected to the border
/// across faces), else 0: nnU-Net's mask of the patient. All channels have one size.
Volume<uint8_t> nonzero_mask(std::span<const Volume<float>> channels);

}  // namespace mambaseg
