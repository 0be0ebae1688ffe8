#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mambaseg/config/config.h"
#include "mambaseg/core/volume.h"
#include "mambaseg/data/picture_mask.h"

namespace mambaseg {

/// A structure: its number in label images, its name, and further numbers that mean the same structure. Of a
/// region `id` only tells it from the others, and `also` holds all its numbers.
struct LabelEntry {
  int32_t id = 0;
  std::string name;
  std::vector<int32_t> also;
};

/// The structures to score, ascending by id; empty when nothing is known about them.
struct LabelTable {
  std::vector<LabelEntry> entries;
  bool regions = false;  ///< structures share numbers, each is scored as the union of its own (nnU-Net)
  int32_t ignore = 0;    ///< number of voxels in the reference that are not scored; 0: none
  MaskColours colours;   ///< of coloured masks (PicturePlan::colours)

  /// "label 17" when the table does not name it.
  std::string name(int32_t id) const;
  std::vector<int32_t> ids() const;
  /// Whether a label belongs to a structure, or is the ignored one.
  bool knows(int32_t label) const;
  /// Replaces further numbers of a structure by its id; regions stay as they are.
  void merge(Volume<int32_t>& labels) const;
};

/// Reads names of labels from
/// - .csv, .tsv, .txt, .ctbl, .lut, .label: number and name on a line (label_lines.h), so
///   FreeSurferColorLUT.txt and ITK-SNAP's label files work; a line that says the same again is passed over;
/// - .json, .toml: nnU-Net's dataset.json ("labels": name to number, or to numbers that may overlap with
///   others: regions; "ignore" is LabelTable::ignore), the Decathlon's (number to name), a
///   plan or recipe ("classes": list of name and ids; "colours" of masks), the latter also by its name where
///   it comes with the program, or a plain map of either kind;
/// - .safetensors: the plan of a model file.
/// The number 0 (background) is left out. Throws Error naming the path: unreadable, no labels, a number or
/// name used twice, a negative number.
LabelTable read_label_table(const std::string& path);

/// The table in parsed JSON, as above. `where` names it in errors.
LabelTable label_table_from_json(const Json& json, const std::string& where);

}  // namespace mambaseg
