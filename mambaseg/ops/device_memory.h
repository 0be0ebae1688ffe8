#pragma once

#include <string>

#include <c10/util/Exception.h>
#include <torch/types.h>

namespace mambaseg {

/// What LibTorch says of a GPU that is full, in one line without its advice to programmers: "the GPU's memory
/// is full: 2.00 GiB more were asked for, 12.00 MiB of 79.11 GiB are free".
std::string full_memory_line(const c10::OutOfMemoryError& error);

/// "memory taken: at most 812 MB, and 3020 MB on the GPU": the peaks of the process and of the tensors on
/// `device`, which are forgotten on demand (core/memory.h, forget_cuda_peak).
std::string memory_taken_line(torch::Device device);

}  // namespace mambaseg
