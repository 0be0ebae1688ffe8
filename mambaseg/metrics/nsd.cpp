// Normalised surface Dice: the share of both surfaces that lies within a tolerance of the other (Nikolov et
// al. 2021). NSD measures surface by area, as its authors do; NSD_monai counts surface voxels. overlap_* are
// one direction.
#include "mambaseg/metrics/distance_sums.h"

namespace mambaseg {
namespace {

double share_within(const WeightedDistances& distances, double tolerance_mm) {
  return area_within(distances, tolerance_mm) / total_area(distances);
}

}  // namespace

Metric nsd_metric() {
  return {"NSD",
          "",
          "share of both surfaces, by area, within the tolerance of the other",
          Kind::score,
          Basis::surfels,
          [](const LabelComparison& label) {
            const auto &forth = label.surfels_reference_to_prediction,
                       &back = label.surfels_prediction_to_reference;
            return (area_within(forth, label.tolerance_mm) + area_within(back, label.tolerance_mm)) /
                   (total_area(forth) + total_area(back));
          }};
}

Metric nsd_monai_metric() {
  return {"NSD_monai",
          "",
          "share of the surface voxels of both within the tolerance of the other",
          Kind::score,
          Basis::surface,
          [](const LabelComparison& label) {
            const auto& [forth, back] = label.surface;
            return double(count_within(forth, label.tolerance_mm) + count_within(back, label.tolerance_mm)) /
                   double(forth.size() + back.size());
          }};
}

Metric overlap_reference_metric() {
  return {"overlap_reference",
          "",
          "share of the surface of the reference, by area, within the tolerance",
          Kind::score,
          Basis::surfels,
          [](const LabelComparison& label) {
            return share_within(label.surfels_reference_to_prediction, label.tolerance_mm);
          }};
}

Metric overlap_prediction_metric() {
  return {"overlap_prediction",
          "",
          "share of the surface of the prediction, by area, within the tolerance",
          Kind::score,
          Basis::surfels,
          [](const LabelComparison& label) {
            return share_within(label.surfels_prediction_to_reference, label.tolerance_mm);
          }};
}

}  // namespace mambaseg
