#include "mambaseg/config/config.h"

#include <algorithm>

#include "mambaseg/config/json_text.h"
#include "mambaseg/core/text.h"

namespace mambaseg {

std::string Rule::text() const {
  if (!choices.empty()) {
    std::string words = "one of ";
    for (size_t i = 0; i < choices.size(); ++i) words += (i ? ", " : "") + choices[i];
    return words;
  }
  if (low > -1e308 && high < 1e308) return concat("between ", low, " and ", high);
  if (low > -1e308) return concat("at least ", low);
  if (high < 1e308) return concat("at most ", high);
  return "";
}

Rule at_least(double low) { return {low, 1e308, {}}; }
Rule between(double low, double high) { return {low, high, {}}; }
Rule one_of(std::initializer_list<const char*> choices) {
  return one_of(std::vector<std::string>(choices.begin(), choices.end()));
}
Rule one_of(std::vector<std::string> choices) { return {-1e308, 1e308, std::move(choices)}; }

std::string join_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

namespace {

void check_rule(const std::string& path, const Json& value, const Rule& rule) {
  bool kept = true;
  if (value.is_string() && !rule.choices.empty()) {
    kept =
        std::find(rule.choices.begin(), rule.choices.end(), value.get<std::string>()) != rule.choices.end();
  } else if (value.is_number()) {
    const auto number = value.get<double>();
    kept = number >= rule.low && number <= rule.high;
  }
  if (!kept) throw UsageError(concat("setting ", path, ": expected ", rule.text(), ", got ", value.dump()));
}

void refuse_unknown_keys(const std::string& path, const Json& object, const std::vector<std::string>& known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest_word(key, known.data(), known.data() + known.size());
    std::string line = concat("unknown key `", join_path(path, key), "`");
    if (!near.empty()) {
      line += concat(", did you mean `", join_path(path, near), "`?");
    } else {
      line += ", known here:";
      for (const std::string& word : known) line += " " + word;
    }
    throw UsageError(line);
  }
}

class Reader final : public SettingsVisitor {
 public:
  Reader(std::string path, const Json& object) : path_(std::move(path)), object_(object) {}
  void finish() const { refuse_unknown_keys(path_, object_, known_); }

 private:
  void visit(const char* key, const SettingType& type, void* value, const char*, const Rule& rule) override {
    known_.emplace_back(key);
    if (const auto found = object_.find(key); found != object_.end())
      type.read(join_path(path_, key), *found, value, rule);
  }

  std::string path_;
  const Json& object_;
  std::vector<std::string> known_;
};

class Writer final : public SettingsVisitor {
 public:
  explicit Writer(Names names)
      : written(names == Names::kept ? Json::object() : Json::array()), names_(names) {}
  Json written;

 private:
  void visit(const char* key, const SettingType& type, void* value, const char*, const Rule&) override {
    Json one = type.write(value, names_);
    if (names_ == Names::kept)
      written[key] = std::move(one);
    else
      written.push_back(std::move(one));
  }

  Names names_;
};

class Documenter final : public SettingsVisitor {
 public:
  explicit Documenter(std::string path) : path_(std::move(path)) {}
  std::vector<SettingDocumentation> lines;
  std::map<std::string, std::string> help_of;

 private:
  void visit(const char* key, const SettingType& type, void* value, const char* help,
             const Rule& rule) override {
    const std::string path = join_path(path_, key);
    help_of[path] = help;
    if (!type.describe) {
      lines.push_back({path, type.write(value, Names::kept), help, rule.text()});
      return;
    }
    Documenter inner(path);
    type.describe(value, inner);
    for (SettingDocumentation& line : inner.lines) lines.push_back(std::move(line));
    help_of.merge(inner.help_of);
  }

  std::string path_;
};

}  // namespace

namespace config_detail {

void refuse_type(const std::string& path, const char* expected, const Json& value) {
  const std::string kind = expected;
  const std::string example = kind == "a list"             ? " as [1, 2] or [\"a\", \"b\"]"
                              : kind == "a text in quotes" ? concat(" as \"", value.dump(), "\"")
                                                           : "";
  throw UsageError(concat("setting ", path.empty() ? "(root)" : path, ": expected ", expected,
                          value.is_primitive() ? example : "", ", got ", value.dump()));
}

void read_table(const std::string& path, const Json& json, const SettingType& type, void* value) {
  if (!json.is_object()) refuse_type(path, "a table of settings", json);
  Reader reader(path, json);
  type.describe(value, reader);
  reader.finish();
}

Json write_table(const SettingType& type, void* value, Names names) {
  Writer writer(names);
  type.describe(value, writer);
  return std::move(writer.written);
}

std::vector<SettingDocumentation> document_table(const std::string& path, const SettingType& type,
                                                 void* value) {
  Documenter documenter(path);
  type.describe(value, documenter);
  return std::move(documenter.lines);
}

std::map<std::string, std::string> help_by_path(const SettingType& type, void* value) {
  Documenter documenter("");
  type.describe(value, documenter);
  return std::move(documenter.help_of);
}

namespace {

template <class T>
void read_plain(const std::string& path, const Json& json, void* value, const Rule& rule) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) refuse_type(path, "true or false", json);
  } else if constexpr (std::is_integral_v<T>) {
    if (!json.is_number_integer()) refuse_type(path, "a whole number", json);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) refuse_type(path, "a number", json);
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) refuse_type(path, "a text in quotes", json);
  }
  if constexpr (!std::is_same_v<T, Json> && !std::is_same_v<T, bool>) check_rule(path, json, rule);
  *static_cast<T*>(value) = json.get<T>();
}

template <class T>
const SettingType& plain_type() {
  static const SettingType type{read_plain<T>,
                                [](void* value, Names) { return Json(*static_cast<T*>(value)); }, nullptr};
  return type;
}

template <class T>
const SettingType& own_type() {
  if constexpr (requires(T list) { list.reserve(1), list.push_back(list.front()); } &&
                !std::is_same_v<T, std::string>)
    return list_type<T>();
  else
    return plain_type<T>();
}

}  // namespace
}  // namespace config_detail

#define MAMBASEG_DEFINE(T)               \
  template <>                            \
  const SettingType& setting_type<T>() { \
    return config_detail::own_type<T>(); \
  }
MAMBASEG_PLAIN_SETTINGS(MAMBASEG_DEFINE)
#undef MAMBASEG_DEFINE

namespace {

template <class AnyJson>
AnyJson parse(const std::string& text, const std::string& where) {
  static constexpr int kDeepest = 100;
  const auto check_depth = [&where](int depth, typename AnyJson::parse_event_t, const AnyJson&) {
    require(depth <= kDeepest, where, ": lists and objects are nested more than ", kDeepest, " deep");
    return true;
  };
  try {
    return AnyJson::parse(text, check_depth);
  } catch (const typename AnyJson::exception& error) {
    throw Error(concat(where, ": not valid JSON: ", error.what()));
  }
}

}  // namespace

Json parse_json(const std::string& text, const std::string& where) { return parse<Json>(text, where); }

Json read_json(const std::string& path) { return parse_json(whole_file(path), path); }

OrderedJson read_ordered_json(const std::string& path) { return parse<OrderedJson>(whole_file(path), path); }

}  // namespace mambaseg
