#include "mambaseg/report/table_file.h"

#include <algorithm>
#include <fstream>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

std::vector<std::string> cells_of(const std::string& line, char separator) {
  std::vector<std::string> cells{""};
  bool quoted = false;
  for (size_t at = 0; at < line.size(); ++at) {
    const char c = line[at];
    if (c == '"' && quoted && at + 1 < line.size() && line[at + 1] == '"') {
      cells.back() += line[++at];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == separator && !quoted) {
      cells.emplace_back();
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  return cells;
}

}  // namespace

size_t TableFile::column(const std::string& name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end()) {
    std::string known;
    for (const std::string& column : columns) known += " " + column;
    throw Error(concat("there is no column \"", name, "\", columns are:", known));
  }
  return size_t(found - columns.begin());
}

TableFile read_table_file(const std::string& path) {
  std::ifstream in(path);
  require(in.good(), path, ": cannot be opened for reading");
  TableFile table;
  const bool tabs = path.size() > 4 && path.compare(path.size() - 4, 4, ".tsv") == 0;
  char separator = tabs ? '\t' : ',';
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (number == 1 && line.rfind("\xEF\xBB\xBF", 0) == 0) line.erase(0, 3);  // byte order mark
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (table.columns.empty() && !tabs && line.find(',') == std::string::npos &&
        line.find(';') != std::string::npos)
      separator = ';';
    auto cells = cells_of(line, separator);
    if (table.columns.empty()) {
      table.columns = std::move(cells);
      continue;
    }
    require(cells.size() == table.columns.size(), path, ", line ", number, ": expected ",
            table.columns.size(), " cells, got ", cells.size());
    table.rows.push_back(std::move(cells));
  }
  require(!table.columns.empty(), path, ": the table is empty");
  return table;
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (size_t c = 0; c < cells.size(); ++c) {
    if (c) line += ',';
    if (cells[c].find_first_of(",\"\n") == std::string::npos) {
      line += cells[c];
      continue;
    }
    line += '"';
    for (const char letter : cells[c]) line += letter == '"' ? std::string("\"\"") : std::string(1, letter);
    line += '"';
  }
  return line + "\n";
}

}  // namespace mambaseg
