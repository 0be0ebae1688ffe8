#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// A small text table with a header line, every cell as text.
struct TableFile {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< as many cells each as there are columns

  /// Position of a column. Throws Error naming the columns there are.
  size_t column(const std::string& name) const;
};

/// Reads a .tsv (separated by tabs) or .csv (by commas, or by semicolons when the header has no comma) file;
/// cells may be in double quotes. Throws Error naming path and line: unreadable, empty, a line with another
/// number of cells.
TableFile read_table_file(const std::string& path);

/// The cells of a row as one line of CSV: quoted where they hold a comma, a quote or a line break.
std::string csv_line(const std::vector<std::string>& cells);

}  // namespace mambaseg
