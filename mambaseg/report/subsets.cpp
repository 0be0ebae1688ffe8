#include "mambaseg/report/subsets.h"

#include <algorithm>
#include <functional>
#include <map>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

std::string without_sub(const std::string& name) {
  return name.rfind("sub-", 0) == 0 ? name.substr(4) : name;
}

bool names_case(const std::string& key, const std::string& case_name) {
  const std::string k = without_sub(key), c = without_sub(case_name);
  if (k.empty() || c.rfind(k, 0) != 0) return false;
  return c.size() == k.size() || c[k.size()] == '_' || c[k.size()] == '-';
}

}  // namespace

std::vector<Subset> subsets_by_volume(const Evaluation& evaluation, size_t label,
                                      const std::vector<double>& cuts_cm3) {
  require(!cuts_cm3.empty() &&
              std::adjacent_find(cuts_cm3.begin(), cuts_cm3.end(), std::greater_equal<>()) == cuts_cm3.end(),
          "strata: expected volumes in cm3 that ascend");
  std::vector<Subset> subsets{{concat("< ", cuts_cm3.front(), " cm³"), {}}};
  for (size_t c = 0; c + 1 < cuts_cm3.size(); ++c)
    subsets.push_back({concat(cuts_cm3[c], "–", cuts_cm3[c + 1], " cm³"), {}});
  subsets.push_back({concat("> ", cuts_cm3.back(), " cm³"), {}});
  for (size_t c = 0; c < evaluation.cases.size(); ++c) {
    const CaseScores& one = evaluation.cases[c];
    const double cm3 = double(one.labels[label].counts.reference()) * one.voxel_volume_mm3 / 1000;
    if (cm3 == 0) continue;
    const auto above = std::upper_bound(cuts_cm3.begin(), cuts_cm3.end(), cm3);
    size_t at = size_t(above - cuts_cm3.begin());
    if (at == cuts_cm3.size() && cm3 == cuts_cm3.back())
      --at;  // the last cut belongs to the stratum below it
    subsets[at].cases.push_back(c);
  }
  return subsets;
}

std::vector<Subset> subsets_by_column(const Evaluation& evaluation, const TableFile& table,
                                      const std::string& column) {
  const size_t at = table.column(column);
  std::map<std::string, std::vector<size_t>> by_value;
  Subset unknown{"not in the table", {}};
  for (size_t c = 0; c < evaluation.cases.size(); ++c) {
    const std::vector<std::string>* best =
        nullptr;  // the longest key, so that sub-10 does not take sub-1's row
    for (const auto& row : table.rows)
      if (names_case(row[0], evaluation.cases[c].files.name) && (!best || row[0].size() > (*best)[0].size()))
        best = &row;
    (best ? by_value[(*best)[at]] : unknown.cases).push_back(c);
  }
  std::vector<Subset> subsets;
  for (auto& [value, cases] : by_value)
    subsets.push_back({value.empty() ? "(empty)" : value, std::move(cases)});
  if (!unknown.cases.empty()) subsets.push_back(std::move(unknown));
  return subsets;
}

Description describe_subset(const Evaluation& evaluation, size_t metric, size_t label, const Subset& subset) {
  std::vector<double> values;
  for (const size_t c : subset.cases)
    if (const auto& value = evaluation.cases[c].labels[label].values[metric]) values.push_back(*value);
  return describe(values);
}

Description describe_subset(const Evaluation& evaluation, size_t metric, const Subset& subset) {
  std::vector<double> means;
  for (size_t l = 0; l < evaluation.labels.size(); ++l)
    if (const Description d = describe_subset(evaluation, metric, l, subset); d.n > 0)
      means.push_back(d.mean);
  return describe(means);
}

}  // namespace mambaseg
