#include "mambaseg/data/declared_labels.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

std::optional<int64_t> whole_number(const OrderedJson& json) {
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number_float()) {  // 1.0, as some writers put it
    const auto value = json.get<double>();
    return value == std::floor(value) && std::abs(value) < 1e15 ? std::optional(static_cast<int64_t>(value))
                                                                : std::nullopt;
  }
  if (!json.is_string()) return std::nullopt;
  const auto text = json.get<std::string>();
  int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// One entry of "labels": name to number or numbers, or number to name.
LabelClass declared(const std::string& key, const OrderedJson& value, const std::string& path) {
  if (const auto id = whole_number(value)) return {key, {*id}};
  if (const auto id = whole_number(key); id && value.is_string()) return {value.get<std::string>(), {*id}};
  LabelClass region{key, {}};
  require(value.is_array() && !value.empty(), path,
          ": \"labels\": expected a name and its label number or numbers, got \"", key, "\": ", value.dump());
  for (const OrderedJson& one : value) {
    const auto id = whole_number(one);
    require(id.has_value(), path, ": \"labels\": region \"", key, "\": expected label numbers, got ",
            value.dump());
    region.ids.push_back(*id);
  }
  return region;
}

}  // namespace

LabelSettings read_declared_labels(const std::string& path) {
  return declared_labels(read_ordered_json(path), path);
}

LabelSettings declared_labels(const OrderedJson& json, const std::string& path) {
  require(json.is_object() && json.contains("labels") && json["labels"].is_object(), path,
          ": expected \"labels\", a map of names and label numbers");
  LabelSettings out;
  for (const auto& [key, value] : json["labels"].items()) {
    LabelClass one = declared(key, value, path);
    const bool background = std::all_of(one.ids.begin(), one.ids.end(), [](int64_t id) { return id == 0; });
    if (one.name == "ignore") {
      require(one.ids.size() == 1 && !background, path,
              ": \"labels\": \"ignore\" is one number above 0, got ", value.dump());
      out.ignore_label = one.ids[0];
    } else if (!background) {
      out.classes.push_back(std::move(one));
    }
  }
  const bool regions = std::any_of(out.classes.begin(), out.classes.end(),
                                   [](const LabelClass& one) { return one.ids.size() > 1; });
  if (!regions) return out;
  const OrderedJson order = json.value("regions_class_order", OrderedJson::array());
  for (const OrderedJson& one : order) {
    const auto number = whole_number(one);
    require(number.has_value(), path, ": \"regions_class_order\": expected label numbers, got ",
            order.dump());
    out.regions_class_order.push_back(*number);
  }
  return out;
}

void take_declared_labels(LabelSettings& plan, const DatasetSettings& dataset) {
  const std::string path = (std::filesystem::path(dataset.folder) / "dataset.json").string();
  if (!plan.classes.empty() || dataset.folder.empty() || !std::filesystem::is_regular_file(path)) return;
  const LabelSettings labels = read_declared_labels(path);
  const bool regions = std::any_of(labels.classes.begin(), labels.classes.end(),
                                   [](const LabelClass& one) { return one.ids.size() > 1; });
  require(!regions || labels.regions_class_order.size() == labels.classes.size(), path, ": ",
          labels.classes.size(),
          " regions need as many numbers in \"regions_class_order\", the label written for each, got ",
          labels.regions_class_order.size());
  for (size_t k = 0; regions && k < labels.classes.size(); ++k) {
    const auto& [name, ids] = labels.classes[k];
    require(std::find(ids.begin(), ids.end(), labels.regions_class_order[k]) != ids.end(), path,
            ": \"regions_class_order\" writes ", labels.regions_class_order[k], " for \"", name,
            "\", which does not hold that label");
  }
  plan.classes = labels.classes;
  plan.regions_class_order = labels.regions_class_order;
  if (plan.ignore_label == 0) plan.ignore_label = labels.ignore_label;
}

}  // namespace mambaseg
