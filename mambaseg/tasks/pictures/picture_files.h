#pragma once

#include <string>
#include <vector>

#include "mambaseg/core/progress.h"
#include "mambaseg/data/datasets.h"

namespace mambaseg {

/// One picture to predict, and where its mask goes. The other outputs are written when they are asked for.
struct PictureFiles {
  std::string name;                 ///< "ISIC_0000000"
  std::vector<std::string> inputs;  ///< one in most cases
  std::string mask, probability, overlay;

  /// The file of the probability of class `k` among `maps` maps: `probability`, or with _classK in front of
  /// its ending where there are several.
  std::string probability_of(int64_t k, size_t maps) const;
};

/// The pictures of `input`: a picture (its mask is the file `output`, others FILE_probability.png and
/// FILE_overlay.png beside it) or a folder of pictures (OUTPUT/NAME.png, OUTPUT/probability/NAME.png,
/// OUTPUT/overlay/NAME.png), sorted by name. With several `files` a picture those called NAME_0000.png,
/// NAME_0001.png, ... belong together; else, where every name ends in _0000 (nnU-Net), NAME is without it.
/// With `only`, those of that names alone. Throws Error when there is no picture, two have one name, or one
/// of `only` is not there; UsageError when the outputs cannot be PNG. Warns of pictures of other formats that
/// are left out.
std::vector<PictureFiles> find_pictures(const std::string& input, const std::string& output,
                                        const std::vector<std::string>& only = {}, const Warn& warn = {},
                                        int64_t files = 1);

/// Those of a data set, with OUTPUT/ID.png and so on.
std::vector<PictureFiles> pictures_of(const std::vector<Case>& dataset, const std::string& output);

}  // namespace mambaseg
