// Volumes of the label. Their differences are signed: positive when the prediction is larger. They are what a
// Bland-Altman analysis is made of.
#include <limits>

#include "mambaseg/metrics/metric.h"

namespace mambaseg {
namespace {

double reference_mm3(const LabelComparison& label) {
  return double(label.counts.reference()) * label.voxel_volume_mm3;
}
double prediction_mm3(const LabelComparison& label) {
  return double(label.counts.prediction()) * label.voxel_volume_mm3;
}

}  // namespace

Metric reference_volume_metric() {
  return {"volume_reference", "mm3",         "voxels of the reference times voxel volume",
          Kind::measure,      Basis::counts, reference_mm3};
}

Metric prediction_volume_metric() {
  return {"volume_prediction", "mm3",         "voxels of the prediction times voxel volume",
          Kind::measure,       Basis::counts, prediction_mm3};
}

Metric volume_difference_metric() {
  return {"volume_difference",
          "mm3",
          "volume of the prediction minus volume of the reference",
          Kind::measure,
          Basis::counts,
          [](const LabelComparison& label) { return prediction_mm3(label) - reference_mm3(label); }};
}

Metric relative_volume_difference_metric() {
  return {"relative_volume_difference",
          "",
          "volume difference / volume of the reference",
          Kind::measure,
          Basis::counts,
          [](const LabelComparison& label) {
            const Counts& c = label.counts;
            if (c.reference() == 0) return std::numeric_limits<double>::quiet_NaN();
            return double(c.prediction() - c.reference()) / double(c.reference());
          }};
}

}  // namespace mambaseg
