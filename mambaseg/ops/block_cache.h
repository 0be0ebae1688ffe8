#pragma once

#include <cstddef>

namespace mambaseg {

/// For programs that compute: makes LibTorch's large CPU tensors reuse the memory of those that were freed. A
/// network asks for its activations anew in every patch and step; from the system they come as pages of
/// zeros, and clearing those costs more than writing some of the activations. What is kept, together with
/// what is in use, is never more than the program once had in use. Call it once, before threads start.
void cache_tensor_blocks();

/// Gives what is kept and not in use back to the system: before large memory is taken that is no tensor's.
void give_back_tensor_blocks();

/// Bytes that the cache holds from the system, in use and kept, and the most that were in use at once.
struct BlockCacheState {
  size_t in_use = 0, kept = 0, most_in_use = 0;
};
BlockCacheState block_cache_state();

}  // namespace mambaseg
