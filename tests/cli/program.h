#pragma once

#include <string>

namespace mambaseg {

/// What a run of the program gave.
struct ProgramResult {
  int exit_code = -1;
  std::string out;  ///< stdout
  std::string err;  ///< stderr
};

/// Runs the built `mambaseg` with `arguments` (as typed in a shell) and waits for it.
ProgramResult run_mambaseg(const std::string& arguments);

/// The same, as on a processor with AVX2 and no more: oneDNN and LibTorch are held to it.
ProgramResult run_mambaseg_with_avx2(const std::string& arguments);

/// The same, where no file may hold a byte (ulimit -f 0); without stdout.
ProgramResult run_mambaseg_with_full_disk(const std::string& arguments);

/// The same, with stdout as the shell writes it: "/dev/full", "&-".
ProgramResult run_mambaseg_printing_to(const std::string& arguments, const std::string& standard_output);

/// What the loader tells of the libraries that such a run loads (LD_DEBUG=files).
std::string libraries_loaded_by_mambaseg(const std::string& arguments);

}  // namespace mambaseg
