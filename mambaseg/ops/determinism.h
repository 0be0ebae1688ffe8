#pragma once

namespace mambaseg {

/// Whether LibTorch takes on a GPU only algorithms that give the same bits every time: with true an operation
/// that has none throws c10::Error with its name, and cuDNN neither tries algorithms nor takes those that add
/// in any order; false is how LibTorch starts. For the whole process. cuBLAS must be told besides, by
/// CUBLAS_WORKSPACE_CONFIG=:4096:8 before its first use, or LibTorch refuses it. On the CPU no sum depends on
/// the order of threads in any case.
void compute_deterministically(bool wanted);

/// What was asked for last.
bool computes_deterministically();

}  // namespace mambaseg
