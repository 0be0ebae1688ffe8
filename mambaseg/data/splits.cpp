#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "mambaseg/core/random.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/data/problems.h"

namespace mambaseg {
namespace {

/// What must stay together with this case.
std::string group_of(const Case& one, const std::string& pattern) {
  if (pattern.empty()) return one.subject.empty() ? one.id : one.subject;
  std::smatch match;
  if (!std::regex_search(one.id, match, std::regex(pattern))) return one.id;
  return match.size() > 1 ? match[1].str() : match[0].str();
}

/// Fold f of n validates the groups whose place in the shuffled order is f modulo n; the test share comes off
/// the end first and is the same for every fold.
SplitLists fold_of(const std::vector<std::string>& order,
                   const std::map<std::string, std::vector<std::string>>& groups,
                   const SplitSettings& settings) {
  const auto count = static_cast<int64_t>(order.size());
  const auto tested = static_cast<int64_t>(static_cast<double>(count) * settings.test_fraction + 0.5);
  if (settings.fold >= settings.folds || settings.folds < 2 || settings.folds > count - tested)
    throw UsageError(concat("setting data.split.fold: ", settings.fold, " of ", settings.folds,
                            " folds; expected 2 folds at least, at most one for each of ", count - tested,
                            " cases (or groups), and a fold below their number"));
  SplitLists lists;
  for (int64_t i = 0; i < count; ++i) {
    auto& to = i >= count - tested                   ? lists.test
               : i % settings.folds == settings.fold ? lists.validation
                                                     : lists.train;
    const auto& ids = groups.at(order[static_cast<size_t>(i)]);
    to.insert(to.end(), ids.begin(), ids.end());
  }
  return lists;
}

SplitLists divide(const std::vector<Case>& cases, const SplitSettings& settings) {
  std::map<std::string, std::vector<std::string>> groups;
  for (const Case& one : cases) groups[group_of(one, settings.group)].push_back(one.id);
  std::vector<std::string> order;
  for (const auto& [group, ids] : groups) order.push_back(group);
  // Repeat 0 is the split of a recipe without repeats.
  Random random(settings.seed, stream_of(0x73706c6974, static_cast<uint64_t>(settings.repeat)));
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  if (settings.folds > 0) return fold_of(order, groups, settings);
  // Training and validation get their shares, rounded, and the test gets the rest: 0.1 and 0.1 of 2594 are
  // 2075, 259 and 260.
  const auto share = [&](double part) {
    return static_cast<size_t>(static_cast<double>(order.size()) * part + 0.5);
  };
  const size_t validation = std::min(share(settings.validation_fraction), order.size() - 1);
  const size_t trained =
      std::max<size_t>(1, share(1 - settings.validation_fraction - settings.test_fraction));
  const size_t held_out =
      settings.test_fraction > 0 ? std::max(validation, order.size() - trained) : validation;
  SplitLists lists;
  for (size_t i = 0; i < order.size(); ++i) {
    auto& to = i < validation ? lists.validation : i < held_out ? lists.test : lists.train;
    to.insert(to.end(), groups[order[i]].begin(), groups[order[i]].end());
  }
  return lists;
}

/// The subsets that the dataset comes with.
SplitLists subsets_of(const std::vector<Case>& cases) {
  SplitLists lists;
  for (const Case& one : cases) {
    auto& to = one.subset == "validation" ? lists.validation
               : one.subset == "test"     ? lists.test
                                          : lists.train;
    to.push_back(one.id);
  }
  return lists;
}

bool names_cases(const SplitSettings& settings) {
  return !settings.train.empty() || !settings.validation.empty() || !settings.test.empty();
}

/// Where the lists come from, for messages.
std::string source_of(const SplitSettings& settings) {
  return settings.file.empty() || names_cases(settings) ? "data.split" : settings.file;
}

SplitLists choose(const std::vector<Case>& cases, const SplitSettings& settings) {
  SplitLists lists{settings.train, settings.validation, settings.test};
  if (!names_cases(settings)) {
    if (!settings.file.empty()) return read_split_file(settings.file, settings.fold);
    const bool divided =
        std::any_of(cases.begin(), cases.end(), [](const Case& one) { return !one.subset.empty(); });
    return divided ? subsets_of(cases) : divide(cases, settings);
  }
  if (lists.train.empty()) {
    std::set<std::string> taken(lists.validation.begin(), lists.validation.end());
    taken.insert(lists.test.begin(), lists.test.end());
    for (const Case& one : cases)
      if (!taken.count(one.id)) lists.train.push_back(one.id);
  }
  return lists;
}

}  // namespace

SplitSettings with_split_of_dataset(SplitSettings settings, const DatasetSettings& dataset) {
  const auto path = std::filesystem::path(dataset.folder) / "splits_final.json";
  const bool open = !names_cases(settings) && settings.file.empty() && settings.folds == 0;
  if (open && !dataset.folder.empty() && std::filesystem::is_regular_file(path))
    settings.file = path.string();
  return settings;
}

SplitLists read_split_file(const std::string& path, int64_t fold) {
  Json json = read_json(path);
  if (json.is_array()) {
    require(fold < static_cast<int64_t>(json.size()), path, ": has ", json.size(), " folds, fold ", fold,
            " was asked for");
    json = Json(json[static_cast<size_t>(fold)]);
  }
  const char* second = json.is_object() && json.contains("val") ? "val" : "validation";
  require(json.is_object() && json.contains("train") && json.contains(second), path,
          ": expected {\"train\": [ids], \"validation\": [ids]} or a list of such folds");
  try {
    return {json["train"].get<std::vector<std::string>>(), json[second].get<std::vector<std::string>>(),
            json.value("test", std::vector<std::string>{})};
  } catch (const Json::exception&) {
    throw Error(concat(path, ": expected lists of case ids"));
  }
}

std::string unlisted_cases(const Split& split, const SplitSettings& settings) {
  if (split.unlisted.empty()) return "";
  constexpr size_t kShown = 5;
  const size_t count = split.unlisted.size();
  std::string names;
  for (size_t i = 0; i < std::min(kShown, count); ++i) names += (i > 0 ? ", " : "") + split.unlisted[i];
  if (count > kShown) names += concat(" and ", count - kShown, " more");
  return concat(count, count == 1 ? " case is in no list of " : " cases are in no list of ",
                source_of(settings), count == 1 ? " and stays unused: " : " and stay unused: ", names);
}

Json split_json(const Split& split) {
  const auto ids = [](const std::vector<Case>& cases) {
    Json list = Json::array();
    for (const Case& one : cases) list.push_back(one.id);
    return list;
  };
  return {{"train", ids(split.train)}, {"validation", ids(split.validation)}, {"test", ids(split.test)}};
}

Split split_cases(const std::vector<Case>& cases, const SplitSettings& settings) {
  if (!settings.group.empty()) {
    try {
      std::regex{settings.group};
    } catch (const std::regex_error& error) {
      throw UsageError(
          concat("setting data.split.group: ", settings.group, " is no regular expression: ", error.what()));
    }
  }
  require(!cases.empty(), "data.split: no cases");
  const SplitLists lists = choose(cases, settings);
  std::map<std::string, const Case*> by_id;
  for (const Case& one : cases) by_id[one.id] = &one;
  Problems problems;
  std::set<std::string> seen;
  const auto pick = [&](const std::vector<std::string>& ids) {
    std::vector<Case> picked;
    for (const std::string& id : ids) {
      if (!by_id.count(id)) {
        problems.add("no case is called ", id);
      } else if (!seen.insert(id).second) {
        problems.add("case ", id, " is listed twice");
      } else {
        picked.push_back(*by_id[id]);
      }
    }
    std::sort(picked.begin(), picked.end(), [](const Case& a, const Case& b) { return a.id < b.id; });
    return picked;
  };
  Split split{pick(lists.train), pick(lists.validation), pick(lists.test), {}};
  for (const Case& one : cases)
    if (!seen.count(one.id)) split.unlisted.push_back(one.id);
  if (split.train.empty()) problems.add("no training case is left");
  std::map<std::string, std::set<std::string>> sides;
  const auto note_sides = [&](const char* side, const std::vector<Case>& list) {
    for (const Case& one : list) sides[group_of(one, settings.group)].insert(side);
  };
  note_sides("training", split.train);
  note_sides("validation", split.validation);
  note_sides("test", split.test);
  for (const auto& [group, names] : sides)
    if (names.size() > 1) problems.add(group, " has cases in ", *names.begin(), " and ", *names.rbegin());
  problems.raise(source_of(settings));
  return split;
}

}  // namespace mambaseg
