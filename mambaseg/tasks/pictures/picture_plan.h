#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mambaseg/data/label_settings.h"

namespace mambaseg {

/// What happens to a picture before and after the network. Kept in the model file, so that training and
/// prediction cannot differ.
struct PicturePlan : LabelSettings {
  std::string task = "pictures";
  std::vector<int64_t> size{256, 256};
  int64_t channels = 3;
  int64_t files = 1;
  std::string intensity = "minmax";
  int64_t mask_threshold = 127;
  std::string structure = "lesion";
  double threshold = 0.5;
  std::string scores = "sigmoid";
  std::map<std::string, int64_t> colours;

  void describe(SettingsVisitor& visit) {
    visit("task", task, "what the model looks at", one_of({"pictures"}));
    visit("size", size, "height and width that pictures are resized to for the network", at_least(1));
    visit("channels", channels,
          "3: colours, a grey picture gives three equal ones; 1: grey; of several `files` the sum of their "
          "channels, 1 of a grey and 3 of a coloured one",
          at_least(1));
    visit("files", files, "files of a picture: 1, or more that are called NAME_0000.png, NAME_0001.png, ...",
          at_least(1));
    visit("intensity", intensity,
          "unit: values / 255; minmax: the darkest value of the picture becomes 0, the brightest 1 (VM-UNet)",
          one_of({"unit", "minmax"}));
    visit(
        "mask_threshold", mask_threshold,
        "without classes: values of a mask above this are the structure; where none is, the one value beside "
        "0",
        between(0, 254));
    visit("structure", structure, "without classes: name of what the masks show");
    visit("threshold", threshold, "one map of scores: probability from which a pixel is the structure",
          between(0, 1));
    visit("scores", scores,
          "without classes. sigmoid: one map of scores; softmax: two, of background and structure, for "
          "networks "
          "that need two",
          one_of({"sigmoid", "softmax"}));
    LabelSettings::describe(visit);
    visit(
        "colours", colours,
        "coloured masks: the label number of each colour, as \"#ff0000\" = 1; black is 0 unless it is named");
  }
};

}  // namespace mambaseg
