#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// One structure that a network learns: the label numbers of the files that belong to it (the first is
/// written on output, of regions that of LabelSettings::regions_class_order).
struct LabelClass {
  std::string name;
  std::vector<int64_t> ids;
  void describe(SettingsVisitor& visit) {
    visit("name", name, "name of the structure");
    visit("ids", ids, "label numbers in the files that belong to this class; the first is written on output");
  }
};

/// Which label numbers of the files form what a network learns, the same for volumes and pictures.
struct LabelSettings {
  std::vector<LabelClass> classes;
  std::vector<int64_t> regions_class_order;
  int64_t ignore_label = 0;

  void describe(SettingsVisitor& visit) {
    visit(
        "classes", classes,
        "class 1, 2, ... of the network (0 is background); empty: those of the data set's dataset.json; "
        "where there are none volumes hold the class numbers themselves, pictures are masks of `structure`");
    visit(
        "regions_class_order", regions_class_order,
        "empty: classes exclude each other (softmax); else they are regions, whose label numbers may overlap "
        "(sigmoid, no background), and this is the label number written where each is found, later ones over "
        "earlier ones (nnU-Net)",
        at_least(1));
    visit("ignore_label", ignore_label,
          "label number of voxels that count neither in training nor in scores (nnU-Net); 0: none",
          at_least(0));
  }
};

}  // namespace mambaseg
