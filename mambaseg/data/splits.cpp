#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include "mambaseg/core/random.h"
#include "mambaseg/data/datasets.h"

namespace mambaseg {
namespace {

struct Lists {
  std::vector<std::string> train, validation;
};

/// {"train": [...], "validation" or "val": [...]}, or nnU-Net's splits_final.json, a list of such folds.
Lists read_split_file(const std::string& path) {
  Json json = read_json(path);
  if (json.is_array() && !json.empty()) json = json[0];
  const char* second = json.is_object() && json.contains("val") ? "val" : "validation";
  require(json.is_object() && json.contains("train") && json.contains(second), path,
          ": expected {\"train\": [ids], \"validation\": [ids]} or a list of such folds");
  try {
    return {json["train"].get<std::vector<std::string>>(), json[second].get<std::vector<std::string>>()};
  } catch (const Json::exception&) {
    throw Error(concat(path, ": expected lists of case ids"));
  }
}

std::string group_of(const std::string& id, const std::string& pattern) {
  if (pattern.empty()) return id;
  std::smatch match;
  if (!std::regex_search(id, match, std::regex(pattern))) return id;
  return match.size() > 1 ? match[1].str() : match[0].str();
}

Lists divide(const std::vector<Case>& cases, const SplitSettings& settings) {
  std::map<std::string, std::vector<std::string>> groups;
  for (const Case& one : cases) groups[group_of(one.id, settings.group)].push_back(one.id);
  std::vector<std::string> order;
  for (const auto& [group, ids] : groups) order.push_back(group);
  Random random(settings.seed, stream_of(0x73706c6974));
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  const auto held_out =
      std::min(static_cast<size_t>(static_cast<double>(order.size()) * settings.validation_fraction + 0.5),
               order.size() - 1);
  Lists lists;
  for (size_t i = 0; i < order.size(); ++i) {
    auto& to = i < held_out ? lists.validation : lists.train;
    to.insert(to.end(), groups[order[i]].begin(), groups[order[i]].end());
  }
  return lists;
}

Lists choose(const std::vector<Case>& cases, const SplitSettings& settings) {
  if (settings.train.empty() && settings.validation.empty())
    return settings.file.empty() ? divide(cases, settings) : read_split_file(settings.file);
  Lists lists{settings.train, settings.validation};
  if (lists.train.empty()) {
    const std::set<std::string> taken(lists.validation.begin(), lists.validation.end());
    for (const Case& one : cases)
      if (!taken.count(one.id)) lists.train.push_back(one.id);
  }
  return lists;
}

}  // namespace

Split split_cases(const std::vector<Case>& cases, const SplitSettings& settings) {
  if (!settings.group.empty()) {
    try {
      std::regex{settings.group};
    } catch (const std::regex_error& error) {
      throw UsageError(
          concat("setting split.group: ", settings.group, " is no regular expression: ", error.what()));
    }
  }
  require(!cases.empty(), "split: no cases");
  const Lists lists = choose(cases, settings);
  std::map<std::string, const Case*> by_id;
  for (const Case& one : cases) by_id[one.id] = &one;
  std::string problems;
  std::set<std::string> seen;
  const auto pick = [&](const std::vector<std::string>& ids) {
    std::vector<Case> picked;
    for (const std::string& id : ids) {
      if (!by_id.count(id)) {
        problems += "; no case is called " + id;
      } else if (!seen.insert(id).second) {
        problems += "; case " + id + " is listed twice";
      } else {
        picked.push_back(*by_id[id]);
      }
    }
    std::sort(picked.begin(), picked.end(), [](const Case& a, const Case& b) { return a.id < b.id; });
    return picked;
  };
  Split split{pick(lists.train), pick(lists.validation)};
  if (split.train.empty()) problems += "; no training case is left";
  require(problems.empty(), "split", problems.empty() ? "" : ": " + problems.substr(2));
  return split;
}

}  // namespace mambaseg
