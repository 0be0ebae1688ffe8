// Average surface distances. ASSD pools the distances of both directions (Heimann et al. 2009; Yeghiazaryan
// and Voiculescu 2018, whom MedSegMamba follows; MONAI's symmetric average). ASSD_medpy is the mean of the
// two directed means, which differs when one surface is larger than the other. ASD_* are one direction:
// ASD_prediction is medpy's asd(prediction, reference) and MONAI's average without `symmetric`.
#include <limits>
#include <numeric>

#include "mambaseg/metrics/distance_sums.h"

namespace mambaseg {
namespace {

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

/// Mean of the distances of one surface: infinite when one of the masks is empty, NaN when both are.
double mean(const std::vector<double>& values, const std::vector<double>& of_other) {
  if (values.empty() && !of_other.empty()) return std::numeric_limits<double>::infinity();
  return sum(values) / double(values.size());
}

double from_prediction(const LabelComparison& label) {
  return mean(label.surface.prediction_to_reference, label.surface.reference_to_prediction);
}
double from_reference(const LabelComparison& label) {
  return mean(label.surface.reference_to_prediction, label.surface.prediction_to_reference);
}

}  // namespace

Metric assd_metric() {
  return {"ASSD",
          "mm",
          "mean of the surface distances of both directions together",
          Kind::distance,
          Basis::surface,
          [](const LabelComparison& label) {
            const auto& [forth, back] = label.surface;
            return (sum(forth) + sum(back)) / double(forth.size() + back.size());
          }};
}

Metric assd_medpy_metric() {
  return {
      "ASSD_medpy",
      "mm",
      "mean of the two directed mean surface distances",
      Kind::distance,
      Basis::surface,
      [](const LabelComparison& label) { return 0.5 * (from_prediction(label) + from_reference(label)); }};
}

Metric asd_prediction_metric() {
  return {"ASD_prediction",
          "mm",
          "mean distance from the surface of the prediction to that of the reference",
          Kind::distance,
          Basis::surface,
          from_prediction};
}

Metric asd_reference_metric() {
  return {"ASD_reference",
          "mm",
          "mean distance from the surface of the reference to that of the prediction",
          Kind::distance,
          Basis::surface,
          from_reference};
}

Metric asd_prediction_deepmind_metric() {
  return {"ASD_prediction_deepmind",
          "mm",
          "ASD_prediction with surface elements weighted by their area",
          Kind::distance,
          Basis::surfels,
          [](const LabelComparison& label) { return mean_distance(label.surfels_prediction_to_reference); }};
}

Metric asd_reference_deepmind_metric() {
  return {"ASD_reference_deepmind",
          "mm",
          "ASD_reference with surface elements weighted by their area",
          Kind::distance,
          Basis::surfels,
          [](const LabelComparison& label) { return mean_distance(label.surfels_reference_to_prediction); }};
}

}  // namespace mambaseg
