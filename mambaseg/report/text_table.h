#pragma once

#include <string>
#include <vector>

namespace mambaseg {

/// Rows of cells (UTF-8, the first row is the header) as text in columns: the first to the left, the others
/// to the right.
std::string aligned_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace mambaseg
