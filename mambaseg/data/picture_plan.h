#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// What happens to a picture before and after the network, where one structure is told from the background.
/// Kept in the model file, so that training and prediction cannot differ.
struct PicturePlan {
  std::string task = "pictures";
  std::vector<int64_t> size{256, 256};
  int64_t channels = 3;
  std::string intensity = "minmax";
  int64_t mask_threshold = 127;
  std::string structure = "lesion";
  double threshold = 0.5;

  template <class Visitor>
  void describe(Visitor& visit) {
    visit("task", task, "what the model looks at", one_of({"pictures"}));
    visit("size", size, "height and width that pictures are resized to for the network", at_least(1));
    visit("channels", channels, "3: colours, a grey picture gives three equal ones; 1: grey", between(1, 3));
    visit("intensity", intensity,
          "unit: values / 255; minmax: the darkest value of the picture becomes 0, the brightest 1 (VM-UNet)",
          one_of({"unit", "minmax"}));
    visit("mask_threshold", mask_threshold,
          "values of a mask above this are the structure; where none is, the one value beside 0",
          between(0, 254));
    visit("structure", structure, "name of what the masks show");
    visit("threshold", threshold, "prediction: probability from which a pixel is the structure",
          between(0, 1));
  }
};

}  // namespace mambaseg
