#pragma once

#include <functional>

#include "mambaseg/scan/order.h"

namespace mambaseg {

/// Where a token lies, along those axes alone that are longer than one, slowest first.
using TokenPlace = std::vector<uint32_t>;

/// The tokens by the bits of `of(place, bits)` taken in turn, highest first; `bits` are those of the longest
/// axis. A curve over the smallest cube of a power of two around the grid, which leaves out what lies
/// outside.
ScanOrder by_interleaved_bits(TokenGrid grid,
                              const std::function<TokenPlace(TokenPlace place, int bits)>& of);

}  // namespace mambaseg
