#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric dice_metric();
Metric volume_similarity_metric();
Metric assd_metric();
Metric assd_medpy_metric();

std::span<const Metric> metrics() {
  static const std::vector<Metric> list{
      dice_metric(),
      volume_similarity_metric(),
      assd_metric(),
      assd_medpy_metric(),
  };
  return list;
}

const Metric& metric_by_name(const std::string& name) {
  std::vector<std::string> names;
  for (const Metric& metric : metrics()) {
    if (metric.name == name) return metric;
    names.push_back(metric.name);
  }
  const std::string near = nearest_word(name, names.data(), names.data() + names.size());
  std::string line = concat("unknown metric \"", name, "\"");
  if (!near.empty()) {
    line += concat(", did you mean \"", near, "\"?");
  } else {
    line += ", known:";
    for (const std::string& word : names) line += " " + word;
  }
  throw UsageError(line);
}

const char* to_text(Presence presence) {
  switch (presence) {
    case Presence::both:
      return "both";
    case Presence::missed:
      return "missed";
    case Presence::spurious:
      return "spurious";
    case Presence::absent:
      break;
  }
  return "absent";
}

Presence LabelComparison::presence() const {
  if (counts.reference() > 0) return counts.prediction() > 0 ? Presence::both : Presence::missed;
  return counts.prediction() > 0 ? Presence::spurious : Presence::absent;
}

std::optional<double> score(const Metric& metric, const LabelComparison& comparison) {
  if (metric.kind != Kind::measure) {
    const Presence presence = comparison.presence();
    if (presence == Presence::absent) return std::nullopt;
    if (presence != Presence::both) return metric.kind == Kind::score ? 0.0 : comparison.diagonal_mm;
  }
  const double value = metric.formula(comparison);
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace mambaseg
