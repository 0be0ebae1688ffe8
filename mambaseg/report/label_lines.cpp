#include "mambaseg/report/label_lines.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"

namespace mambaseg {
namespace {

constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";
constexpr size_t kItkSnapColumns = 8;  // number, red, green, blue, alpha, visible, mesh, "name"

/// "17", or "17.0" as tables are written whose numbers were floats on the way.
std::optional<int32_t> whole_number(std::string_view text) {
  if (const size_t point = text.find('.');
      point != 0 && point != text.npos && text.find_first_not_of('0', point + 1) == text.npos)
    text = text.substr(0, point);
  int32_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_number(const std::string& text) {
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0';
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

struct Line {
  int64_t number = 0;
  std::string text;
};

/// The lines that say something.
std::vector<Line> lines_of(const std::string& path) {
  std::string text = whole_file(path);
  require(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"), path,
          ": the table is UTF-16; save it as UTF-8");
  if (text.starts_with(kByteOrderMark)) text.erase(0, 3);
  std::vector<Line> lines;
  Line line;
  const auto finish = [&] {
    ++line.number;
    const std::string words = trimmed(line.text);
    if (!words.empty() && words[0] != '#' && !words.starts_with("//")) lines.push_back({line.number, words});
    line.text.clear();
  };
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\n' || text[at] == '\r') {
      if (text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n') ++at;
      finish();
    } else {
      line.text += text[at];
    }
  }
  finish();
  return lines;
}

/// The first of tab, semicolon and comma outside of quotes; a space where there is none.
char separator_of(const std::string& line) {
  bool quoted = false;
  for (const char c : line) {
    quoted ^= c == '"';
    if (!quoted && (c == '\t' || c == ';' || c == ',')) return c;
  }
  return ' ';
}

/// Cells without the spaces around them and without quotes; several spaces separate as one does.
std::vector<std::string> cells_of(const std::string& line, char separator) {
  std::vector<std::string> cells;
  std::string cell;
  bool quoted = false, was_quoted = false;
  const auto finish = [&] {
    if (separator != ' ' || !cell.empty() || was_quoted) cells.push_back(was_quoted ? cell : trimmed(cell));
    cell.clear();
    was_quoted = false;
  };
  for (size_t at = 0; at < line.size(); ++at) {
    const char c = line[at];
    if (c == '"' && quoted && at + 1 < line.size() && line[at + 1] == '"') {
      cell += line[++at];
    } else if (c == '"') {
      if (!quoted) cell.clear();  // spaces before the quotes
      quoted = !quoted;
      was_quoted = true;
    } else if (!quoted && (c == separator || (separator == ' ' && c == '\t'))) {
      finish();
    } else if (quoted || !was_quoted) {
      cell += c;
    }
  }
  finish();
  return cells;
}

/// Where number and name are.
struct Columns {
  size_t id = 0, name = 1;
};

/// By the words of a header; the first whole number and the first text of the line below it otherwise.
Columns columns_of(const std::vector<std::string>& header, const std::vector<std::string>& first) {
  const auto named = [&](std::initializer_list<const char*> words) {
    for (size_t c = 0; c < header.size(); ++c)
      for (const char* word : words)
        if (lower_case(header[c]) == word) return c;
    return header.size();
  };
  Columns columns{
      named({"id", "index", "number", "no", "no.", "#", "value", "labelvalue", "label value", "nr"}),
      named({"name", "structure", "label name", "labelname", "label_name", "region", "description"})};
  if (columns.id >= header.size() && columns.name < header.size()) columns.id = named({"label"});
  if (columns.name >= header.size()) columns.name = named({"label"});
  const auto find = [&](size_t other, auto&& fits) {
    for (size_t c = 0; c < first.size(); ++c)
      if (c != other && fits(first[c])) return c;
    return first.size();
  };
  if (columns.id >= first.size() || !whole_number(first[columns.id]))
    columns.id = find(columns.name, [](const std::string& cell) { return whole_number(cell).has_value(); });
  if (columns.name >= first.size() || columns.name == columns.id)
    columns.name =
        find(columns.id, [](const std::string& cell) { return !cell.empty() && !is_number(cell); });
  return columns;
}

std::string joined(const std::vector<std::string>& words, size_t end) {
  std::string text;
  for (size_t w = 1; w < end; ++w) text += (text.empty() ? "" : " ") + words[w];
  return text;
}

/// A line of numbers and words with spaces between them, and the words whose last numbers may be a colour.
struct SpacedLine {
  LabelLine line;
  std::string with_numbers;
};

std::optional<SpacedLine> spaced_line(const std::vector<std::string>& words, const std::string& text) {
  const auto id = words.empty() ? std::nullopt : whole_number(words[0]);
  if (!id || words.size() < 2) return std::nullopt;
  const bool itk_snap = words.size() == kItkSnapColumns && text.back() == '"' &&
                        std::all_of(words.begin(), words.end() - 1, is_number);
  if (itk_snap) return SpacedLine{{*id, words.back()}, words.back()};
  size_t end = words.size();
  while (end > 2 && is_number(words[end - 1])) --end;
  return SpacedLine{{*id, joined(words, end)}, joined(words, words.size())};
}

/// Numbers behind the names are colours and the like, unless names differ in them alone ("segment 1").
void add_spaced(const std::vector<SpacedLine>& lines, std::vector<LabelLine>& found) {
  std::map<std::string, int32_t> id_of;
  const bool distinct = std::all_of(lines.begin(), lines.end(), [&](const SpacedLine& one) {
    return id_of.emplace(one.line.name, one.line.id).first->second == one.line.id;
  });
  for (const SpacedLine& one : lines)
    found.push_back(distinct ? one.line : LabelLine{one.line.id, one.with_numbers});
}

}  // namespace

std::vector<LabelLine> read_label_lines(const std::string& path) {
  const std::vector<Line> lines = lines_of(path);
  std::vector<LabelLine> found;
  std::vector<SpacedLine> spaced;
  std::optional<Columns> columns;
  std::vector<std::string> header;
  for (const Line& line : lines) {
    const char separator = separator_of(line.text);
    const std::vector<std::string> cells = cells_of(line.text, separator);
    const bool has_number = std::any_of(
        cells.begin(), cells.end(), [](const std::string& cell) { return whole_number(cell).has_value(); });
    const bool counts =
        std::isdigit(static_cast<unsigned char>(line.text.front())) != 0;  // "1: liver" is no header
    if (found.empty() && spaced.empty() && header.empty() && !has_number && !counts) {
      header = cells;
      continue;
    }
    if (separator == ' ' && !cells.empty() && whole_number(cells[0])) {
      if (const auto one = spaced_line(cells, line.text)) {
        spaced.push_back(*one);
        continue;
      }
    } else {
      if (!columns) columns = columns_of(header, cells);
      const auto id = columns->id < cells.size() ? whole_number(cells[columns->id]) : std::nullopt;
      if (id && columns->name < cells.size() && !cells[columns->name].empty()) {
        found.push_back({*id, cells[columns->name]});
        continue;
      }
    }
    throw Error(concat(path, ", line ", line.number, ": expected a label number and a name, got \"",
                       line.text, "\""));
  }
  add_spaced(spaced, found);
  return found;
}

}  // namespace mambaseg
