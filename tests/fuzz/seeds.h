#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// A small file that a target reads without an error, where its fuzzer begins.
struct FuzzSeed {
  std::string target;
  std::string name;
  std::string bytes;
};

/// Seeds of every target: drawn by the project's own writers, and DICOM and pickles element by element.
/// Recipes come from the folder `recipes`.
std::vector<FuzzSeed> fuzz_seeds(const std::string& recipes);

}  // namespace mambaseg
