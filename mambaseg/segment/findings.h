#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mambaseg {

/// What was found of one structure.
struct StructureFinding {
  int64_t id = 0;  ///< in the label file
  std::string name;
  int64_t voxels = 0;                    ///< or pixels
  double mm3 = 0;                        ///< volumes
  double percent = 0;                    ///< pictures: of the whole picture
  std::optional<double> agreement = {};  ///< Dice with the labels of the second look, at the mirrored image
};

/// What a person should know of a segmented image.
struct Findings {
  std::vector<StructureFinding> structures;
  std::vector<std::string> flags;  ///< why somebody should look at this one; empty: nothing is conspicuous

  /// Mean agreement of the structures that have one.
  std::optional<double> quality() const;
};

/// How many voxels have each pair of numbers in two labellings: for agreement.
class Agreement {
 public:
  void add(int64_t one, int64_t other) {
    if (one != 0 || other != 0) ++count_[{one, other}];
  }
  /// Dice of a structure that these numbers form; nothing where neither labelling has it.
  std::optional<double> dice(const std::vector<int64_t>& members) const;

 private:
  std::map<std::pair<int64_t, int64_t>, int64_t> count_;
};

/// Sets `agreement` of the structures, each formed by the numbers at its place in `members`, and flags those
/// below `least`, and a mean below `least_mean` (0: none).
void judge_agreement(Findings& findings, const Agreement& agreement,
                     const std::vector<std::vector<int64_t>>& members, double least, double least_mean = 0);

}  // namespace mambaseg
