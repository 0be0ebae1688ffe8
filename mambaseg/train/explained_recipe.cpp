#include "mambaseg/train/explained_recipe.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "mambaseg/config/toml_text.h"
#include "mambaseg/losses/loss.h"
#include "mambaseg/train/run.h"

namespace mambaseg {
namespace {

constexpr size_t kWidth = 110;       // of a line of help
constexpr size_t kWidestValue = 48;  // sources stand in one column behind values up to this width

using Lines = std::vector<SettingDocumentation>;

/// The settings of the network or loss `part`, as far as they are filled in. `entry` is that of its list.
template <class Entry>
void add_named(Lines& lines, const SettingDocumentation& part, const Entry& entry) {
  lines.push_back({part.path + ".name", part.value.at("name"), entry.summary, ""});
  for (const SettingDocumentation& one : entry.documentation()) {
    const bool whole = one.path.starts_with(part.path + ".");
    const std::string key = whole ? one.path.substr(part.path.size() + 1) : one.path;
    std::string pointer = "/" + key;
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    if (const Json::json_pointer at(pointer); part.value.contains(at))
      lines.push_back({part.path + "." + key, part.value.at(at), one.help, one.rule});
  }
}

/// Every setting in the order of describe().
Lines every_setting(const RunSettings& settings) {
  Lines lines;
  for (const SettingDocumentation& line : documentation_of(settings)) {
    if (line.path == "network")
      add_named(lines, line, find_network(line.value.at("name").get<std::string>()));
    else if (line.path == "loss")
      add_named(lines, line, find_loss(line.value));
    else
      lines.push_back(line);
  }
  return lines;
}

/// Where the value of each setting comes from.
class Sources {
 public:
  explicit Sources(const Recipe& recipe) : recipe_(recipe) {}

  /// What is there for the first time, unless the recipe names it, or is not as it was comes from `source`.
  void note(const RunSettings& settings, const std::string& source) {
    for (const SettingDocumentation& line : every_setting(settings)) {
      const auto [known, added] = known_.try_emplace(line.path);
      if (!added && known->second.value == line.value) continue;
      const std::string named = added ? recipe_.source_of(line.path) : "";
      known->second = {line.value, named.empty() ? source : named};
    }
  }
  const std::string& of(const std::string& path) const { return known_.at(path).source; }

 private:
  struct Known {
    Json value;
    std::string source;
  };
  const Recipe& recipe_;
  std::map<std::string, Known> known_;
};

/// `words` in lines that begin with `start`.
std::string wrapped(const std::string& words, const std::string& start) {
  std::istringstream in(words);
  std::string text, line = start;
  for (std::string word; in >> word;) {
    if (line.size() + 1 + word.size() > kWidth && line != start) {
      text += line + "\n";
      line = start;
    }
    line += " " + word;
  }
  return text + line + "\n";
}

/// The settings by table, a table before those within it, in the order in which they are first named.
std::vector<std::pair<std::string, Lines>> by_table(const Lines& lines) {
  std::vector<std::pair<std::string, Lines>> tables{{"", {}}};
  const auto lines_of = [&](const std::string& name) -> Lines& {
    for (auto& [table, its] : tables)
      if (table == name) return its;
    return tables.emplace_back(name, Lines{}).second;
  };
  for (const SettingDocumentation& line : lines) {
    for (size_t dot = line.path.find('.'); dot != std::string::npos; dot = line.path.find('.', dot + 1))
      lines_of(line.path.substr(0, dot));
    const size_t last = line.path.rfind('.');
    lines_of(last == std::string::npos ? "" : line.path.substr(0, last)).push_back(line);
  }
  return tables;
}

std::string key_of(const std::string& path) { return path.substr(path.rfind('.') + 1); }

/// One table: keys, values and sources in columns.
std::string table_text(const Lines& lines, const Sources& sources) {
  size_t key_width = 0, value_width = 0;
  for (const SettingDocumentation& line : lines) {
    key_width = std::max(key_width, key_of(line.path).size());
    if (const size_t width = toml_value(line.value).size(); width <= kWidestValue)
      value_width = std::max(value_width, width);
  }
  const auto padded = [](std::string text, size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
  };
  std::string text;
  for (const SettingDocumentation& line : lines) {
    text += padded(key_of(line.path), key_width) + " = " + padded(toml_value(line.value), value_width) +
            "  # " + sources.of(line.path) + "\n";
    text += wrapped(line.help + (line.rule.empty() ? "" : " (" + line.rule + ")"), "  #");
  }
  return text;
}

}  // namespace

std::string explained(const Recipe& recipe) {
  Sources sources(recipe);
  const RunSettings named = run_settings(recipe);
  const auto note = [&](const RunSettings& now, const std::string& source) { sources.note(now, source); };
  const RunSettings settings = with_context(recipe.name, [&] { return resolved(named, note); });
  int64_t parameters = 0;
  with_context(recipe.name, [&] {
    parameters = parameter_count(*make_network(settings.network));
    const LearnedLabels labels = settings.task->labels();
    make_loss(settings.loss, loss_data(labels, std::vector<double>(labels.structures.size() + 1, 1.0)));
  });
  const auto help_of = help_by_path(settings);
  std::string text =
      concat("# ", recipe.name, ": every setting; the network has ", parameters, " parameters.\n");
  text += wrapped(
      "Behind a value stands where it comes from: a recipe, a file, an option; [plan], which decides it; "
      "images: "
      "their headers; batch: training.batch; paper: the network's settings in its paper; default.",
      "#");
  for (const auto& [table, lines] : by_table(every_setting(settings))) {
    if (lines.empty()) continue;
    text += "\n";
    if (!table.empty()) {
      const auto help = help_of.find(table);
      text += "[" + table + "]" + (help == help_of.end() ? "" : "  # " + help->second) + "\n";
    }
    text += table_text(lines, sources);
  }
  return text;
}

}  // namespace mambaseg
