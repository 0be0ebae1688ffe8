#pragma once

#include <string>
#include <vector>

#include "mambaseg/report/evaluation.h"
#include "mambaseg/report/table_file.h"

namespace mambaseg {

/// Some of the cases of an evaluation, by position.
struct Subset {
  std::string name;
  std::vector<size_t> cases;
};

/// The cases by the reference volume of a label, for cuts 10, 50 (cm^3, ascending): "< 10 cm³", "10-50 cm³"
/// (both ends belong here), "> 50 cm³". Cases without the label in the reference are in none. Throws Error
/// unless cuts ascend.
std::vector<Subset> subsets_by_volume(const Evaluation& evaluation, size_t label,
                                      const std::vector<double>& cuts_cm3);

/// The cases by a column (site, scanner, dataset, ...) of a table whose first column names the case or the
/// participant: equal to the case's name, or its beginning up to a "_" or "-", with or without "sub-". Cases
/// that the table does not name form the subset "not in the table". Ascending by name. Throws Error naming a
/// missing column.
std::vector<Subset> subsets_by_column(const Evaluation& evaluation, const TableFile& table,
                                      const std::string& column);

/// The metric of a label over a subset.
Description describe_subset(const Evaluation& evaluation, size_t metric, size_t label, const Subset& subset);

/// Over labels: description of the label means within the subset.
Description describe_subset(const Evaluation& evaluation, size_t metric, const Subset& subset);

}  // namespace mambaseg
