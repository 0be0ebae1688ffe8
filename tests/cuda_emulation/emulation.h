#pragma once

namespace mambaseg::emulation {

// The CUDA kernels on the CPU, one thread of the GPU after the other: a thread runs until it meets
// __syncthreads or a shuffle, and goes on when all whom it waits for are there. Who waits for a thread that
// has ended, and a warp whose threads meet at different shuffles, end the program with a line on stderr.

/// In which order blocks, and the threads of a block, have their turns. What depends on it, a missing
/// __syncthreads or two blocks that write one place, gives other numbers in another order.
enum class Turns { forwards, backwards, interleaved };

/// From now on.
void take_turns(Turns turns);

}  // namespace mambaseg::emulation
