#pragma once

#include <string>

#include "mambaseg/config/json_text.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/data/label_settings.h"

namespace mambaseg {

/// Reads "labels" as nnU-Net 2 writes it (name to number, or to a list of numbers: a region) or nnU-Net 1 and
/// the Decathlon (number to name), "regions_class_order", and the label "ignore". Throws Error naming the
/// path.
LabelSettings read_declared_labels(const std::string& path);

/// The same of parsed JSON, whose order of labels regions_class_order speaks of; `where` names it in errors.
LabelSettings declared_labels(const OrderedJson& json, const std::string& where);

/// Gives settings without classes those of the data set's dataset.json, if it has one.
void take_declared_labels(LabelSettings& settings, const DatasetSettings& dataset);

}  // namespace mambaseg
