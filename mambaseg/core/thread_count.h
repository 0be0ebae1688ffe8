#pragma once

namespace mambaseg {

/// As many threads as were asked for; of 0 as many as the machine has.
int thread_count(int wish);

}  // namespace mambaseg
