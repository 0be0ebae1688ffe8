#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mambaseg {

/// What was found of one structure.
struct StructureFinding {
  int64_t id = 0;  ///< in the label file
  std::string name;
  int64_t voxels = 0;                    ///< or pixels
  double mm3 = 0;                        ///< volumes
  double percent = 0;                    ///< pictures: of the whole picture
  std::optional<double> agreement = {};  ///< Dice with the labels of the mirrored image, mirrored back
};

/// What a person should know of a segmented image.
struct Findings {
  std::vector<StructureFinding> structures;
  std::vector<std::string> flags;  ///< why somebody should look at this one; empty: nothing is conspicuous

  /// Mean agreement of the structures that have one.
  std::optional<double> quality() const;
};

/// How many voxels each number has, and how many of them have it in both: for agreement.
class Agreement {
 public:
  void add(int64_t one, int64_t other) {
    if (one != 0) ++of_one_[one];
    if (other != 0) ++of_other_[other];
    if (one == other && one != 0) ++of_both_[one];
  }
  /// Dice of a number; nothing where neither has it.
  std::optional<double> dice(int64_t number) const;

 private:
  std::map<int64_t, int64_t> of_one_, of_other_, of_both_;
};

/// Sets `agreement` of the structures, and flags those below `least`, and a mean below `least_mean` (0:
/// none).
void judge_agreement(Findings& findings, const Agreement& agreement, double least, double least_mean = 0);

}  // namespace mambaseg
