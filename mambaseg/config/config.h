#pragma once

#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <nlohmann/json.hpp>

#include "mambaseg/core/error.h"

/// A configuration is a plain struct whose members carry their defaults and which names its members once:
///
///     struct Training {
///       int epochs = 15;
///       template <class Visitor>
///       void describe(Visitor& visit) {
///         visit("epochs", epochs, "passes over the training cases", at_least(1));
///       }
///     };
///
/// Reading from JSON or TOML, writing, `--set key=value` and the reference documentation all come from
/// describe(). Members may be bool, integers, floating point, std::string, std::vector of these, nested
/// structs with describe(), std::vector of such structs, std::map<std::string, T>, and Json for parts whose
/// type another setting decides.
namespace mambaseg {

using Json = nlohmann::json;

/// What a value must satisfy; written in the documentation and checked on reading.
struct Rule {
  double low = -1e308;
  double high = 1e308;
  std::vector<std::string> choices;  ///< allowed words, when not empty
  std::string text() const;          ///< "at least 1", "one of a, b"; "" without limits
};
inline Rule at_least(double low) { return {low, 1e308, {}}; }
inline Rule between(double low, double high) { return {low, high, {}}; }
inline Rule one_of(std::vector<std::string> choices) { return {-1e308, 1e308, std::move(choices)}; }

/// One line of the reference documentation.
struct SettingDocumentation {
  std::string path;  ///< "training.epochs"
  Json value;        ///< the default
  std::string help;
  std::string rule;
};

namespace config_detail {

void check_rule(const std::string& path, const Json& value, const Rule& rule);
[[noreturn]] void refuse_type(const std::string& path, const char* expected, const Json& value);
void refuse_unknown_keys(const std::string& path, const Json& object, const std::vector<std::string>& known);
std::string join(const std::string& path, std::string_view key);

struct AnyVisitor {
  template <class T>
  void operator()(const char*, T&, const char*, const Rule& = {}) {}
};
template <class T>
concept Described = requires(T value, AnyVisitor visit) {
  value.describe(visit);
};

template <class T>
void read_value(const std::string& path, const Json& json, T& value, const Rule& rule);

class Reader {
 public:
  Reader(std::string path, const Json& object) : path_(std::move(path)), object_(object) {
    if (!object.is_object()) refuse_type(path_, "a table of settings", object);
  }
  template <class T>
  void operator()(const char* key, T& value, const char* /*help*/, const Rule& rule = {}) {
    known_.emplace_back(key);
    if (const auto found = object_.find(key); found != object_.end())
      read_value(join(path_, key), *found, value, rule);
  }
  void finish() const { refuse_unknown_keys(path_, object_, known_); }

 private:
  std::string path_;
  const Json& object_;
  std::vector<std::string> known_;
};

template <class T>
Json write_value(T& value);

class Writer {
 public:
  template <class T>
  void operator()(const char* key, T& value, const char*, const Rule& = {}) {
    object[key] = write_value(value);
  }
  Json object = Json::object();
};

template <class T>
void read_value(const std::string& path, const Json& json, T& value, const Rule& rule) {
  if constexpr (std::is_same_v<T, Json>) {
    value = json;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) refuse_type(path, "true or false", json);
    value = json.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    if (!json.is_number_integer()) refuse_type(path, "a whole number", json);
    check_rule(path, json, rule);
    value = json.get<T>();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) refuse_type(path, "a number", json);
    check_rule(path, json, rule);
    value = json.get<T>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) refuse_type(path, "a text in quotes", json);
    check_rule(path, json, rule);
    value = json.get<std::string>();
  } else if constexpr (Described<T>) {
    Reader reader(path, json);
    value.describe(reader);
    reader.finish();
  } else if constexpr (requires { typename T::mapped_type; }) {
    if (!json.is_object()) refuse_type(path, "a table", json);
    value.clear();
    for (const auto& [key, entry] : json.items()) read_value(join(path, key), entry, value[key], rule);
  } else {
    if (!json.is_array()) refuse_type(path, "a list", json);
    T read;
    for (size_t i = 0; i < json.size(); ++i) {
      typename T::value_type entry{};
      read_value(path + "[" + std::to_string(i) + "]", json[i], entry, rule);
      read.push_back(std::move(entry));
    }
    value = std::move(read);
  }
}

template <class T>
Json write_value(T& value) {
  if constexpr (Described<T>) {
    Writer writer;
    value.describe(writer);
    return writer.object;
  } else if constexpr (requires { typename T::mapped_type; } && !std::is_same_v<T, Json>) {
    Json out = Json::object();
    for (auto& [key, entry] : value) out[key] = write_value(entry);
    return out;
  } else if constexpr (requires { typename T::value_type; } && !std::is_same_v<T, std::string> &&
                       !std::is_same_v<T, Json>) {
    Json out = Json::array();
    for (auto&& entry : value) {
      typename T::value_type copy = entry;
      out.push_back(write_value(copy));
    }
    return out;
  } else {
    return Json(value);
  }
}

// The types that most settings have are compiled once, in config.cpp.
#define MAMBASEG_PLAIN_SETTINGS(TYPE) \
  TYPE(bool)                          \
  TYPE(int64_t)                       \
  TYPE(double)                        \
  TYPE(std::string)                   \
  TYPE(std::vector<int64_t>)          \
  TYPE(std::vector<double>) TYPE(std::vector<std::string>) TYPE(std::vector<std::vector<int64_t>>)
#define MAMBASEG_DECLARE(T)                                                             \
  extern template void read_value<T>(const std::string&, const Json&, T&, const Rule&); \
  extern template Json write_value<T>(T&);
MAMBASEG_PLAIN_SETTINGS(MAMBASEG_DECLARE)
#undef MAMBASEG_DECLARE

class Documenter {
 public:
  explicit Documenter(std::string path) : path_(std::move(path)) {}
  template <class T>
  void operator()(const char* key, T& value, const char* help, const Rule& rule = {}) {
    if constexpr (Described<T>) {
      Documenter inner(join(path_, key));
      value.describe(inner);
      for (auto& line : inner.lines) lines.push_back(std::move(line));
    } else {
      lines.push_back({join(path_, key), write_value(value), help, rule.text()});
    }
  }
  std::vector<SettingDocumentation> lines;

 private:
  std::string path_;
};

}  // namespace config_detail

/// Reads `json` over the defaults of T. Unknown keys, wrong types and broken rules throw UsageError naming
/// the setting (`path` is put in front of its name) and, for a misspelt key, the nearest known one.
template <class T>
T from_json(const Json& json, const std::string& path = "") {
  T value;
  config_detail::read_value(path, json, value, Rule{});
  return value;
}

/// Every member with its present value.
template <class T>
Json to_json(const T& value) {
  T copy = value;
  return config_detail::write_value(copy);
}

/// Name, default, meaning and limits of every setting of T, in the order of describe().
template <class T>
std::vector<SettingDocumentation> documentation(const std::string& path = "") {
  T value;
  config_detail::Documenter documenter(path);
  value.describe(documenter);
  return documenter.lines;
}

/// Applies "a.b.c=value" to `json`; value is read as TOML (so 3, 0.5, true, "word", [1, 2]), and as plain
/// text when that fails. Throws UsageError when there is no "=".
void set_by_path(Json& json, const std::string& assignment);

/// Reads a TOML file. Throws Error naming the file, line and column of a syntax error.
Json read_toml(const std::string& path);

/// Reads TOML text; `where` names it in errors.
Json parse_toml(const std::string& text, const std::string& where);

/// Writes `json` as TOML text, tables after plain values.
std::string to_toml(const Json& json);

/// Reads a JSON file. Throws Error naming the file and the place of a syntax error.
Json read_json(const std::string& path);

}  // namespace mambaseg
