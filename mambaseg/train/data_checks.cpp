#include "mambaseg/train/data_checks.h"

#include <map>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/data/label_advice.h"

namespace mambaseg {
namespace {

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
  const LabelAdvice advice =
      label_advice({cases.structures, cases.training_voxels, unnamed_labels(cases), "training case"});
  require(advice.problem.empty(), advice.problem);
  if (!warn) return;
  for (const std::string& warning : advice.warnings) warn(warning);
  if (!cases.validation_holds_any)
    warn("no validation case holds any structure; the validation Dice says nothing");
  warn_of_twins(cases, warn);
}

}  // namespace mambaseg
