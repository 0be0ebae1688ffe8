#pragma once

namespace mambaseg {

/// From now on LibTorch's operations that the calling thread starts run on it alone, with denormals flushed:
/// for a worker beside the one that computes, so that their teams do not multiply.
void compute_on_this_thread_alone();

}  // namespace mambaseg
