#include "mambaseg/train/data_checks.h"

#include <algorithm>
#include <map>
#include <set>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr size_t kShown = 12;

template <class Values>
std::string listed(const Values& values) {
  std::string text;
  size_t count = 0;
  for (const auto& value : values)
    if (count++ < kShown) text += concat(text.empty() ? "" : ", ", value);
  return count > kShown ? concat(text, " and ", count - kShown, " more") : text;
}

std::set<int64_t> unnamed_labels(const RunCases& cases) {
  std::set<int64_t> all;
  for (const auto* notes : {&cases.training, &cases.validation})
    for (const CaseNotes& one : *notes) all.insert(one.unnamed_labels.begin(), one.unnamed_labels.end());
  return all;
}

void warn_of_twins(const RunCases& cases, const Warn& warn) {
  std::map<std::string, std::string> first_with;
  const auto look = [&](const CaseNotes& one, const char* where) {
    if (one.content.empty()) return;
    const auto [other, fresh] = first_with.emplace(one.content, concat(one.id, where));
    if (!fresh) warn(concat("cases ", other->second, " and ", one.id, where, " hold the same image"));
  };
  for (const CaseNotes& one : cases.training) look(one, " (training)");
  for (const CaseNotes& one : cases.validation) look(one, " (validation)");
}

}  // namespace

void check_run_cases(const RunCases& cases, const Warn& warn) {
  const std::set<int64_t> unnamed = unnamed_labels(cases);
  std::vector<std::string> missing;
  for (size_t s = 0; s < cases.structures.size(); ++s)
    if (cases.training_voxels.at(s + 1) == 0) missing.push_back(cases.structures[s]);
  require(missing.size() < cases.structures.size(), "nothing to learn: none of the ", cases.training.size(),
          " training cases holds ", listed(cases.structures),
          unnamed.empty()
              ? "; their labels are empty"
              : concat("; the files hold the numbers ", listed(unnamed), ", which no class of [plan] names"));
  if (!warn) return;
  if (!missing.empty())
    warn(concat("no training case holds ", listed(missing), "; the network cannot learn ",
                missing.size() == 1 ? "it" : "them"));
  if (!cases.validation_holds_any)
    warn("no validation case holds any structure; the validation Dice says nothing");
  if (!unnamed.empty())
    warn(concat("label numbers in no class of [plan] count as background (plan.unknown_labels): ",
                listed(unnamed)));
  warn_of_twins(cases, warn);
}

}  // namespace mambaseg
