// Detection of lesions: connected components of the label (26 neighbours unless asked otherwise), found when
// one voxel overlaps (ATLAS and ISLES challenges; see count_lesions).
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric lesion_f1_metric() {
  return {"lesion_F1",
          "",
          "2 found / (2 found + missed + false) lesions",
          Kind::score,
          Basis::lesions,
          [](const LabelComparison& label) {
            const LesionCounts& l = label.lesions;
            return 2.0 * double(l.found) /
                   double(2 * l.found + (l.prediction - l.confirmed) + (l.reference - l.found));
          }};
}

Metric lesion_recall_metric() {
  return {"lesion_recall",
          "",
          "found lesions / lesions of the reference",
          Kind::score,
          Basis::lesions,
          [](const LabelComparison& label) {
            return double(label.lesions.found) / double(label.lesions.reference);
          }};
}

Metric lesion_precision_metric() {
  return {"lesion_precision",
          "",
          "confirmed lesions / lesions of the prediction",
          Kind::score,
          Basis::lesions,
          [](const LabelComparison& label) {
            return double(label.lesions.confirmed) / double(label.lesions.prediction);
          }};
}

Metric lesion_count_metric() {
  return {"lesions_reference",
          "",
          "lesions of the reference",
          Kind::measure,
          Basis::lesions,
          [](const LabelComparison& label) { return double(label.lesions.reference); }};
}

Metric lesions_missed_metric() {
  return {"lesions_missed",
          "",
          "lesions of the reference without any voxel predicted",
          Kind::measure,
          Basis::lesions,
          [](const LabelComparison& label) { return double(label.lesions.reference - label.lesions.found); }};
}

Metric lesions_false_metric() {
  return {"lesions_false",
          "",
          "lesions of the prediction without any voxel in the reference",
          Kind::measure,
          Basis::lesions,
          [](const LabelComparison& label) {
            return double(label.lesions.prediction - label.lesions.confirmed);
          }};
}

}  // namespace mambaseg
