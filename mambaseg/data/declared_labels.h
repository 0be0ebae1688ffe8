#pragma once

#include <string>

#include "mambaseg/config/json_text.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/data/plan.h"

namespace mambaseg {

/// The labels that a dataset.json names.
struct DeclaredLabels {
  std::vector<LabelClass> classes;           ///< in the order of the file, background left out
  std::vector<int64_t> regions_class_order;  ///< empty when no structure is a list of labels
  int64_t ignore_label = 0;                  ///< 0: none
};

/// Reads "labels" as nnU-Net 2 writes it (name to number, or to a list of numbers: a region) or nnU-Net 1 and
/// the Decathlon (number to name), "regions_class_order", and the label "ignore". Throws Error naming the
/// path.
DeclaredLabels read_declared_labels(const std::string& path);

/// The same of parsed JSON, whose order of labels regions_class_order speaks of; `where` names it in errors.
DeclaredLabels declared_labels(const OrderedJson& json, const std::string& where);

/// Gives a plan without classes those of the data set's dataset.json, if it has one.
void take_declared_labels(Plan& plan, const DatasetSettings& dataset);

}  // namespace mambaseg
