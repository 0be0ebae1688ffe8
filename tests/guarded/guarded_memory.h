#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mambaseg {

/// In a program that links guarded_memory.cpp, every block of posix_memalign lies between two guards. That is
/// all memory of tensors, and what LibTorch and oneDNN take for themselves while they compute: packed weights
/// and scratch. Fresh blocks hold NaN, so that what is read without having been written shows in the result.

/// What was written outside blocks since the last call, a line each: those that were freed since and those in
/// use.
std::vector<std::string> writes_outside_of_blocks();

/// Blocks taken so far.
size_t guarded_blocks();

}  // namespace mambaseg
