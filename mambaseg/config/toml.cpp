#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <sstream>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "mambaseg/config/config.h"
#include "mambaseg/config/toml_text.h"
#include "mambaseg/core/text.h"

namespace mambaseg {
namespace {

Json to_json_node(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    Json out = Json::object();
    for (const auto& [key, value] : *table) out[std::string(key.str())] = to_json_node(value);
    return out;
  }
  if (const auto* list = node.as_array()) {
    Json out = Json::array();
    for (const auto& value : *list) out.push_back(to_json_node(value));
    return out;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  std::ostringstream words;
  words << toml::node_view<const toml::node>(node);
  return words.str();
}

toml::table to_toml_table(const Json& json);

void insert(toml::table& table, const std::string& key, const Json& value);

toml::array to_toml_array(const Json& json) {
  toml::array out;
  for (const Json& value : json) {
    if (value.is_object())
      out.push_back(to_toml_table(value));
    else if (value.is_array())
      out.push_back(to_toml_array(value));
    else if (value.is_boolean())
      out.push_back(value.get<bool>());
    else if (value.is_number_integer())
      out.push_back(value.get<int64_t>());
    else if (value.is_number())
      out.push_back(value.get<double>());
    else
      out.push_back(value.is_string() ? value.get<std::string>() : value.dump());
  }
  return out;
}

void insert(toml::table& table, const std::string& key, const Json& value) {
  if (value.is_object())
    table.insert(key, to_toml_table(value));
  else if (value.is_array())
    table.insert(key, to_toml_array(value));
  else if (value.is_boolean())
    table.insert(key, value.get<bool>());
  else if (value.is_number_integer())
    table.insert(key, value.get<int64_t>());
  else if (value.is_number())
    table.insert(key, value.get<double>());
  else if (value.is_string())
    table.insert(key, value.get<std::string>());
}

std::string toml_key(const std::string& key) {
  const auto bare = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  };
  return !key.empty() && std::all_of(key.begin(), key.end(), bare) ? key : Json(key).dump();
}

toml::table to_toml_table(const Json& json) {
  toml::table table;
  for (const auto& [key, value] : json.items()) insert(table, key, value);
  return table;
}

}  // namespace

Json parse_toml(const std::string& text, const std::string& where) {
  try {
    return to_json_node(toml::parse(text));
  } catch (const toml::parse_error& error) {
    throw UsageError(concat(where, ":", error.source().begin.line, ":", error.source().begin.column, ": ",
                            std::string(error.description())));
  }
}

Json read_toml(const std::string& path) {
  require(std::filesystem::is_regular_file(path), path, ": no such file");
  return parse_toml(whole_file(path), path);
}

std::string to_toml(const Json& json) {
  std::ostringstream out;
  out << to_toml_table(json) << '\n';
  return out.str();
}

std::string toml_value(const Json& value) {
  constexpr size_t kWidth = 100;
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    return std::isnan(value.get<double>()) ? "nan" : value.get<double>() > 0 ? "inf" : "-inf";
  if (!value.is_structured()) return value.dump();  // texts, numbers and truth are written as in JSON
  std::vector<std::string> parts;
  for (const auto& [key, one] : value.items()) {
    const bool first = key == "name";  // what a table is about
    if (value.is_array())
      parts.push_back(toml_value(one));
    else
      parts.insert(first ? parts.begin() : parts.end(), toml_key(key) + " = " + toml_value(one));
  }
  std::string line, lines;
  for (const std::string& part : parts) {
    line += (line.empty() ? "" : ", ") + part;
    lines += "  " + part + ",\n";
  }
  if (value.is_object()) return parts.empty() ? "{}" : "{ " + line + " }";
  return line.size() <= kWidth ? "[" + line + "]" : "[\n" + lines + "]";
}

void set_by_path(Json& json, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0)
    throw UsageError(concat("--set: expected key=value, got \"", assignment, "\""));
  const std::string path = assignment.substr(0, equals);
  const std::string text = assignment.substr(equals + 1);
  Json value = text;
  try {
    value = to_json_node(*toml::parse("value = " + text).get("value"));
  } catch (const toml::parse_error&) {  // a bare word
  }
  Json* at = &json;
  std::stringstream keys(path);
  for (std::string key; std::getline(keys, key, '.');) {
    if (at->is_null()) *at = Json::object();
    if (!at->is_object())
      throw UsageError(concat("--set: ", path, " goes through a setting that is not a table"));
    at = &(*at)[key];
  }
  *at = value;
}

}  // namespace mambaseg
