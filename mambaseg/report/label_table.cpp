#include "mambaseg/report/label_table.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "mambaseg/config/json_text.h"
#include "mambaseg/config/recipe.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/data/declared_labels.h"
#include "mambaseg/io/safetensors.h"
#include "mambaseg/report/label_lines.h"

namespace mambaseg {
namespace {

/// Regions are told apart by the numbers of regions_class_order where these differ, else 1, 2, ... in their
/// order.
void number_regions(std::vector<LabelEntry>& regions, const std::vector<int64_t>& regions_class_order) {
  const std::set<int64_t> distinct(regions_class_order.begin(), regions_class_order.end());
  const bool given = distinct.size() == regions.size() && regions_class_order.size() == regions.size();
  for (size_t r = 0; r < regions.size(); ++r) {
    regions[r].also.insert(regions[r].also.begin(), regions[r].id);
    regions[r].id = given ? static_cast<int32_t>(regions_class_order[r]) : static_cast<int32_t>(r + 1);
  }
}

/// Drops background and checks. Lists that share numbers make regions.
LabelTable checked(std::vector<LabelEntry> entries, const std::string& where, int64_t ignore = 0,
                   const std::vector<int64_t>& regions_class_order = {}) {
  std::erase_if(entries, [](const LabelEntry& entry) { return entry.id == 0 && entry.also.empty(); });
  require(!entries.empty(), where, ": no labels found (expected number and name)");
  const bool lists =
      std::any_of(entries.begin(), entries.end(), [](const auto& entry) { return !entry.also.empty(); });
  LabelTable table;
  table.ignore = static_cast<int32_t>(ignore);
  std::set<int32_t> numbers;
  std::set<std::string> names;
  for (const LabelEntry& entry : entries) {
    std::vector<int32_t> all = entry.also;
    all.push_back(entry.id);
    for (const int32_t id : all) {
      require(id > 0, where, ": label ", id, " (", entry.name, "): expected a number above 0");
      require(id != ignore, where, ": label ", id, " (", entry.name, ") is the one that is ignored");
      const bool shared = !numbers.insert(id).second;
      require(!shared || lists, where, ": label ", id, " belongs to two structures, the second is \"",
              entry.name, "\"");
      table.regions = table.regions || shared;
    }
    require(names.insert(entry.name).second, where, ": two structures are called \"", entry.name, "\"");
  }
  if (table.regions) number_regions(entries, regions_class_order);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  table.entries = std::move(entries);
  return table;
}

LabelEntry entry_of(const std::string& name, std::vector<int64_t> ids, const std::string& where) {
  require(!ids.empty(), where, ": structure \"", name, "\" has no label number");
  for (const int64_t id : ids)
    require(id == int32_t(id), where, ": structure \"", name, "\": label ", id, " is out of range");
  return {int32_t(ids.front()), name, {ids.begin() + 1, ids.end()}};
}

LabelTable from_lines(const std::string& path) {
  std::vector<LabelEntry> entries;
  for (LabelLine& line : read_label_lines(path)) {
    const bool again = std::any_of(entries.begin(), entries.end(), [&](const LabelEntry& entry) {
      return entry.id == line.id && entry.name == line.name;
    });
    if (!again) entries.push_back({line.id, std::move(line.name), {}});
  }
  return checked(std::move(entries), path);
}

const Json* find_path(const Json& json, std::initializer_list<const char*> keys) {
  const Json* at = &json;
  for (const char* key : keys) {
    if (!at->is_object() || !at->contains(key)) return nullptr;
    at = &at->at(key);
  }
  return at;
}

LabelTable table_of(const LabelSettings& declared, const std::string& where) {
  std::vector<LabelEntry> entries;
  for (const LabelClass& one : declared.classes) entries.push_back(entry_of(one.name, one.ids, where));
  return checked(std::move(entries), where, declared.ignore_label, declared.regions_class_order);
}

}  // namespace

std::string LabelTable::name(int32_t id) const {
  for (const LabelEntry& entry : entries)
    if (entry.id == id) return entry.name;
  return concat("label ", id);
}

std::vector<int32_t> LabelTable::ids() const {
  std::vector<int32_t> all;
  for (const LabelEntry& entry : entries) all.push_back(entry.id);
  return all;
}

bool LabelTable::knows(int32_t label) const {
  return (ignore != 0 && label == ignore) ||
         std::any_of(entries.begin(), entries.end(), [&](const LabelEntry& entry) {
           return (!regions && entry.id == label) ||
                  std::find(entry.also.begin(), entry.also.end(), label) != entry.also.end();
         });
}

void LabelTable::merge(Volume<int32_t>& labels) const {
  std::map<int32_t, int32_t> target;
  for (const LabelEntry& entry : entries)
    for (const int32_t id : entry.also) target[id] = entry.id;
  if (target.empty() || regions) return;
  for (int32_t& label : labels.voxels)
    if (label != 0)
      if (const auto found = target.find(label); found != target.end()) label = found->second;
}

LabelTable label_table_from_json(const Json& json, const std::string& where) {
  std::vector<LabelEntry> entries;
  for (const Json* plan : {&json, find_path(json, {"plan"})}) {
    const Json* classes = plan ? find_path(*plan, {"classes"}) : nullptr;
    if (!classes) continue;
    require(classes->is_array(), where, ": expected \"classes\" to be a list of name and ids");
    for (const Json& one : *classes) {
      require(one.is_object() && one.contains("name") && one["name"].is_string() && one.contains("ids") &&
                  one["ids"].is_array(),
              where, ": expected {name, ids} in \"classes\", got ", one.dump());
      entries.push_back(entry_of(one["name"], one["ids"].get<std::vector<int64_t>>(), where));
    }
    if (entries.empty() && plan->contains("structure"))  // of masks
      entries.push_back(entry_of(plan->value("structure", ""), {1}, where));
    LabelTable table = checked(std::move(entries), where, plan->value("ignore_label", int64_t{0}),
                               plan->value("regions_class_order", std::vector<int64_t>{}));
    table.colours = mask_colours(plan->value("colours", std::map<std::string, int64_t>{}));
    return table;
  }
  const LabelSettings declared = find_path(json, {"labels"})
                                     ? declared_labels(OrderedJson(json), where)
                                     : declared_labels(OrderedJson{{"labels", json}}, where);
  return table_of(declared, where);
}

LabelTable read_label_table(const std::string& path) {
  const std::string ending = lower_ending(path);
  if (ending == ".json") {
    const Json json = read_json(path);
    if (find_path(json, {"labels"}))
      return table_of(read_declared_labels(path), path);  // in the file's order
    return label_table_from_json(json, path);
  }
  if (ending == ".toml" || is_built_in_recipe(path))
    return label_table_from_json(read_recipe(path).settings(), path);
  for (const char* text : {".csv", ".tsv", ".txt", ".ctbl", ".lut", ".label"})
    if (ending == text) return from_lines(path);
  if (ending == ".safetensors") {
    const TensorFile model = read_safetensors(path);
    const auto plan = model.metadata.find("plan");
    require(plan != model.metadata.end(), path, ": no model of mambaseg, it names no labels");
    return label_table_from_json(parse_json(plan->second, path + ": \"plan\" in the metadata"), path);
  }
  throw UsageError(concat(
      path,
      ": a table of labels ends in .csv, .tsv, .txt, .ctbl, .lut, .label, .json, .toml or .safetensors"));
}

}  // namespace mambaseg
