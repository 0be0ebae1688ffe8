#pragma once

#include <initializer_list>
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
///       int64_t epochs = 15;
///       void describe(SettingsVisitor& visit) {
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
Rule at_least(double low);
Rule between(double low, double high);
Rule one_of(std::initializer_list<const char*> choices);
Rule one_of(std::vector<std::string> choices);

/// One line of the reference documentation.
struct SettingDocumentation {
  std::string path;  ///< "training.epochs"
  Json value;        ///< the default
  std::string help;
  std::string rule;
};

class SettingsVisitor;

/// Structs are written as objects, or as arrays of their values alone, for hashes that outlive new names.
enum class Names { kept, left_out };

/// What can be done with a member, whatever its type.
struct SettingType {
  void (*read)(const std::string& path, const Json& json, void* value, const Rule& rule);
  Json (*write)(void* value, Names names);
  /// Of a struct with members of its own; null for other types.
  void (*describe)(void* value, SettingsVisitor& visit);
};

template <class T>
const SettingType& setting_type();

/// What describe() hands the members to. Compiled once, not for each struct.
class SettingsVisitor {
 public:
  template <class T>
  void operator()(const char* key, T& value, const char* help) {
    operator()(key, value, help, Rule());
  }
  template <class T>
  void operator()(const char* key, T& value, const char* help, const Rule& rule) {
    visit(key, setting_type<T>(), &value, help, rule);
  }

 protected:
  ~SettingsVisitor() = default;

 private:
  virtual void visit(const char* key, const SettingType& type, void* value, const char* help,
                     const Rule& rule) = 0;
};

/// A setting's name within its tables: "training" and "epochs" -> "training.epochs".
std::string join_path(const std::string& path, std::string_view key);

namespace config_detail {

[[noreturn]] void refuse_type(const std::string& path, const char* expected, const Json& value);
void read_table(const std::string& path, const Json& json, const SettingType& type, void* value);
Json write_table(const SettingType& type, void* value, Names names);
std::vector<SettingDocumentation> document_table(const std::string& path, const SettingType& type,
                                                 void* value);
std::map<std::string, std::string> help_by_path(const SettingType& type, void* value);

template <class T>
concept Described = requires(T value, SettingsVisitor& visit) {
  value.describe(visit);
};

template <class T>
const SettingType& table_type() {
  static const SettingType type{
      [](const std::string& path, const Json& json, void* value, const Rule&) {
        read_table(path, json, table_type<T>(), value);
      },
      [](void* value, Names names) { return write_table(table_type<T>(), value, names); },
      [](void* value, SettingsVisitor& visit) { static_cast<T*>(value)->describe(visit); }};
  return type;
}

template <class T>
const SettingType& map_type() {
  using Entry = typename T::mapped_type;
  static const SettingType type{[](const std::string& path, const Json& json, void* value, const Rule& rule) {
                                  if (!json.is_object()) refuse_type(path, "a table", json);
                                  T& map = *static_cast<T*>(value);
                                  map.clear();
                                  for (const auto& [key, entry] : json.items())
                                    setting_type<Entry>().read(join_path(path, key), entry, &map[key], rule);
                                },
                                [](void* value, Names names) {
                                  Json out = Json::object();
                                  for (auto& [key, entry] : *static_cast<T*>(value))
                                    out[key] = setting_type<Entry>().write(&entry, names);
                                  return out;
                                },
                                nullptr};
  return type;
}

template <class T>
const SettingType& list_type() {
  using Entry = typename T::value_type;
  static const SettingType type{[](const std::string& path, const Json& json, void* value, const Rule& rule) {
                                  if (!json.is_array()) refuse_type(path, "a list", json);
                                  T read;
                                  for (size_t i = 0; i < json.size(); ++i) {
                                    Entry entry{};
                                    setting_type<Entry>().read(path + "[" + std::to_string(i) + "]", json[i],
                                                               &entry, rule);
                                    read.push_back(std::move(entry));
                                  }
                                  *static_cast<T*>(value) = std::move(read);
                                },
                                [](void* value, Names names) {
                                  Json out = Json::array();
                                  for (const auto& entry : *static_cast<T*>(value)) {
                                    Entry copy = entry;
                                    out.push_back(setting_type<Entry>().write(&copy, names));
                                  }
                                  return out;
                                },
                                nullptr};
  return type;
}

}  // namespace config_detail

template <class T>
const SettingType& setting_type() {
  using namespace config_detail;
  if constexpr (Described<T>)
    return table_type<T>();
  else if constexpr (requires { typename T::mapped_type; })
    return map_type<T>();
  else
    return list_type<T>();
}

// The types that most settings have are compiled once, in config.cpp.
#define MAMBASEG_PLAIN_SETTINGS(TYPE) \
  TYPE(bool)                          \
  TYPE(int)                           \
  TYPE(int64_t)                       \
  TYPE(uint64_t)                      \
  TYPE(double)                        \
  TYPE(std::string)                   \
  TYPE(Json)                          \
  TYPE(std::vector<int64_t>)          \
  TYPE(std::vector<double>) TYPE(std::vector<std::string>) TYPE(std::vector<std::vector<int64_t>>)
#define MAMBASEG_DECLARE(T) \
  template <>               \
  const SettingType& setting_type<T>();
MAMBASEG_PLAIN_SETTINGS(MAMBASEG_DECLARE)
#undef MAMBASEG_DECLARE

/// Reads `json` over the values that `settings` has. Unknown keys, wrong types and broken rules throw
/// UsageError naming the setting (`path` is put in front of its name) and, for a misspelt key, the nearest
/// known one.
template <class T>
void read_settings(T& settings, const Json& json, const std::string& path = "") {
  setting_type<T>().read(path, json, &settings, Rule());
}

/// read_settings over the defaults of T.
template <class T>
T from_json(const Json& json, const std::string& path = "") {
  T value;
  read_settings(value, json, path);
  return value;
}

/// Every member with its present value.
template <class T>
Json to_json(const T& value) {
  T copy = value;
  return setting_type<T>().write(&copy, Names::kept);
}

/// The values in the order in which describe() names them, without their names: what a stored hash is made
/// from.
template <class T>
Json values_of(const T& value) {
  T copy = value;
  return setting_type<T>().write(&copy, Names::left_out);
}

/// Name, present value, meaning and limits of every setting, in the order of describe().
template <class T>
std::vector<SettingDocumentation> documentation_of(T settings, const std::string& path = "") {
  return config_detail::document_table(path, setting_type<T>(), &settings);
}

/// The same with the defaults of T.
template <class T>
std::vector<SettingDocumentation> documentation(const std::string& path = "") {
  return documentation_of(T{}, path);
}

/// What each setting and table is about, by its path.
template <class T>
std::map<std::string, std::string> help_by_path(T settings) {
  return config_detail::help_by_path(setting_type<T>(), &settings);
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
