#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric dice_metric();
Metric iou_metric();
Metric precision_metric();
Metric recall_metric();
Metric f2_metric();
Metric volume_similarity_metric();
Metric hd_metric();
Metric hd95_metric();
Metric assd_metric();
Metric nsd_metric();
Metric specificity_metric();
Metric hd_deepmind_metric();
Metric hd95_monai_metric();
Metric hd95_deepmind_metric();
Metric assd_medpy_metric();
Metric asd_reference_metric();
Metric asd_prediction_metric();
Metric asd_reference_deepmind_metric();
Metric asd_prediction_deepmind_metric();
Metric nsd_monai_metric();
Metric overlap_reference_metric();
Metric overlap_prediction_metric();
Metric reference_volume_metric();
Metric prediction_volume_metric();
Metric volume_difference_metric();
Metric relative_volume_difference_metric();
Metric lesion_f1_metric();
Metric lesion_recall_metric();
Metric lesion_precision_metric();
Metric lesion_count_metric();
Metric lesions_missed_metric();
Metric lesions_false_metric();

std::span<const Metric> metrics() {
  static const std::vector<Metric> list{
      dice_metric(),
      iou_metric(),
      precision_metric(),
      recall_metric(),
      f2_metric(),
      volume_similarity_metric(),
      hd_metric(),
      hd95_metric(),
      assd_metric(),
      nsd_metric(),
      specificity_metric(),
      hd_deepmind_metric(),
      hd95_monai_metric(),
      hd95_deepmind_metric(),
      assd_medpy_metric(),
      asd_reference_metric(),
      asd_prediction_metric(),
      asd_reference_deepmind_metric(),
      asd_prediction_deepmind_metric(),
      nsd_monai_metric(),
      overlap_reference_metric(),
      overlap_prediction_metric(),
      reference_volume_metric(),
      prediction_volume_metric(),
      volume_difference_metric(),
      relative_volume_difference_metric(),
      lesion_f1_metric(),
      lesion_recall_metric(),
      lesion_precision_metric(),
      lesion_count_metric(),
      lesions_missed_metric(),
      lesions_false_metric(),
  };
  return list;
}

std::vector<const Metric*> usual_metrics() {
  std::vector<const Metric*> usual;
  for (const char* name : {"Dice",
                           "IoU",
                           "precision",
                           "recall",
                           "F2",
                           "VS",
                           "HD",
                           "HD95",
                           "ASSD",
                           "NSD",
                           "volume_reference",
                           "volume_prediction",
                           "volume_difference",
                           "relative_volume_difference",
                           "lesion_F1",
                           "lesion_recall",
                           "lesion_precision",
                           "lesions_reference",
                           "lesions_missed",
                           "lesions_false"})
    usual.push_back(&metric_by_name(name));
  return usual;
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

const Metric& in_pixels(const Metric& metric) {
  static const std::vector<Metric> twins = [] {
    std::vector<Metric> list(metrics().begin(), metrics().end());
    for (Metric& one : list)
      if (!one.unit.empty()) one.unit = "px";
    return list;
  }();
  return twins[static_cast<size_t>(&metric_by_name(metric.name) - metrics().data())];
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
