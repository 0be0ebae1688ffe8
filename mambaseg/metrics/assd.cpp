// Average symmetric surface distance. ASSD pools the distances of both directions (Heimann et al. 2009;
// Yeghiazaryan and Voiculescu 2018, whom MedSegMamba follows; MONAI's symmetric average). ASSD_medpy is the
// mean of the two directed means, which differs when one surface is larger than the other.
#include <numeric>

#include "mambaseg/metrics/metric.h"

namespace mambaseg {
namespace {

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }
double mean(const std::vector<double>& values) { return sum(values) / double(values.size()); }

}  // namespace

Metric assd_metric() {
  return {"ASSD",
          "mm",
          "mean of the surface distances of both directions together",
          Kind::distance,
          true,
          [](const LabelComparison& label) {
            const auto& [forth, back] = label.surface;
            return (sum(forth) + sum(back)) / double(forth.size() + back.size());
          }};
}

Metric assd_medpy_metric() {
  return {"ASSD_medpy",
          "mm",
          "mean of the two directed mean surface distances",
          Kind::distance,
          true,
          [](const LabelComparison& label) {
            return 0.5 * (mean(label.surface.prediction_to_reference) +
                          mean(label.surface.reference_to_prediction));
          }};
}

}  // namespace mambaseg
