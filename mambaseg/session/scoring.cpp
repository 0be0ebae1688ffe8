#include "mambaseg/session/scoring.h"

#include <algorithm>
#include <iterator>

namespace mambaseg {

std::vector<const Metric*> metrics_named(const std::vector<std::string>& names) {
  if (names.empty()) return usual_metrics();
  std::vector<const Metric*> found;
  if (names == std::vector<std::string>{"all"})
    for (const Metric& metric : metrics()) found.push_back(&metric);
  else
    for (const std::string& name : names) found.push_back(&metric_by_name(name));
  return found;
}

ScoredLabels score_labels(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                          const ScoreOptions& options) {
  const std::vector<int32_t> one = labels_in(reference), other = labels_in(prediction);
  std::vector<int32_t> labels;
  std::set_union(one.begin(), one.end(), other.begin(), other.end(), std::back_inserter(labels));
  return {options.metrics, compare_labels(reference, prediction, labels, options)};
}

}  // namespace mambaseg
