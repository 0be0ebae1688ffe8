#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace mambaseg {

/// Which labels some cases hold.
struct LabelOccurrence {
  std::vector<std::string> structures;  ///< names of what is to be learned
  std::vector<double> voxels;           ///< of background and of each structure
  std::set<int64_t> unnamed;            ///< numbers in no class of the plan
  std::string of;                       ///< what the cases are called: "case", "training case"
};

/// What a person should know of it before training.
struct LabelAdvice {
  std::string problem;                ///< why training cannot work; empty when it can
  std::vector<std::string> warnings;  ///< structures that never occur, numbers that count as background
};

/// Throws std::out_of_range when there are not as many `voxels` as structures and background.
LabelAdvice label_advice(const LabelOccurrence& found);

}  // namespace mambaseg
