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

namespace config_detail {

#define MAMBASEG_INSTANTIATE(T)                                                  \
  template void read_value<T>(const std::string&, const Json&, T&, const Rule&); \
  template Json write_value<T>(T&);
MAMBASEG_PLAIN_SETTINGS(MAMBASEG_INSTANTIATE)
#undef MAMBASEG_INSTANTIATE

std::string join(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

void refuse_type(const std::string& path, const char* expected, const Json& value) {
  const std::string kind = expected;
  const std::string example = kind == "a list"             ? " as [1, 2] or [\"a\", \"b\"]"
                              : kind == "a text in quotes" ? concat(" as \"", value.dump(), "\"")
                                                           : "";
  throw UsageError(concat("setting ", path.empty() ? "(root)" : path, ": expected ", expected,
                          value.is_primitive() ? example : "", ", got ", value.dump()));
}

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
    std::string line = concat("unknown key `", join(path, key), "`");
    if (!near.empty()) {
      line += concat(", did you mean `", join(path, near), "`?");
    } else {
      line += ", known here:";
      for (const std::string& word : known) line += " " + word;
    }
    throw UsageError(line);
  }
}

}  // namespace config_detail

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
