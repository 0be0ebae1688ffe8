#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mambaseg {

/// A number and a name of a table of labels, in the order of the file.
struct LabelLine {
  int32_t id = 0;
  std::string name;
};

/// Reads label numbers and names from text, one structure a line:
/// - separated by tabs, semicolons or commas (whichever comes first outside of quotes), with or without a
///   header whose words say where number and name are;
/// - separated by spaces: FreeSurferColorLUT.txt and Slicer's tables (number, name, colour), ITK-SNAP's label
///   files (the name in quotes, last), or number and the rest of the line as name.
/// Lines that begin with # or // are comments. A byte order mark, CRLF or CR as line ends and a missing last
/// line end are taken as they come. Throws Error naming path and line: UTF-16, no number or no name.
std::vector<LabelLine> read_label_lines(const std::string& path);

}  // namespace mambaseg
