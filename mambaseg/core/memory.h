#pragma once

#include <cstdint>

namespace mambaseg {

/// Largest memory of the process so far, or since forget_peak_memory, in bytes (0 where the system does not
/// tell).
long long peak_memory_bytes();

/// Lets the peak begin anew from what is taken now, where the system can.
void forget_peak_memory();

/// Half of the memory that the machine, or the container around the process, has: what cases that are worked
/// on at the same time may take together.
int64_t half_of_memory();

}  // namespace mambaseg
