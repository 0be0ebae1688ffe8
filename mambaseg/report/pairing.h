#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// A reference and the prediction for it.
struct CasePair {
  std::string name;
  std::string reference;   ///< path
  std::string prediction;  ///< path
  std::string image{};     ///< path, for pictures of the case; "": where it lies is not known
};

struct Pairing {
  std::vector<CasePair> pairs;       ///< ascending by name
  std::vector<std::string> missing;  ///< names of references without prediction
  std::vector<std::string> extra;    ///< names of predictions without reference
};

/// Pairs two files with each other, or the images of two folders by their names without ending (io's
/// image_stem; masks of pictures also without _segmentation and the like; other files are passed over).
/// Throws Error naming the path for: missing paths, a file and a folder, a folder without images, two images
/// of one name in a folder, not one name in common.
Pairing pair_cases(const std::string& reference, const std::string& prediction);

/// "a, b, c and 17 more"
std::string name_list(const std::vector<std::string>& names, size_t most = 5);

}  // namespace mambaseg
