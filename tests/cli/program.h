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

}  // namespace mambaseg
