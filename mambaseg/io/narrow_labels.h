#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mambaseg {

/// The place in VoxelData of the smallest of uint8, int16 and int32 that holds all labels.
size_t smallest_type(std::span<const int32_t> labels);

/// The labels as numbers of that type, which holds them, into `out`, which has their size.
void narrow(std::span<const int32_t> labels, size_t type, std::span<std::byte> out);

}  // namespace mambaseg
