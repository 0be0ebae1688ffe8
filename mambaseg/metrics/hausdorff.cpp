// Hausdorff distance (Huttenlocher et al. 1993) and its 95th percentile, which one stray voxel does not
// decide. HD95 joins the distances of both directions before taking the percentile (medpy, BraTS); HD95_monai
// takes the larger of the two directed percentiles; *_deepmind weight surface elements by their area and take
// the larger.
#include <algorithm>
#include <cmath>

#include "mambaseg/metrics/distance_sums.h"

namespace mambaseg {
namespace {

double larger_quantile(const LabelComparison& label, double fraction) {
  return std::max(distance_quantile(label.surfels_reference_to_prediction, fraction),
                  distance_quantile(label.surfels_prediction_to_reference, fraction));
}

}  // namespace

Metric hd_metric() {
  return {"HD",
          "mm",
          "largest surface distance of either direction",
          Kind::distance,
          Basis::surface,
          [](const LabelComparison& label) {
            const auto& [forth, back] = label.surface;
            if (forth.empty() || back.empty())
              return (forth.empty() ? back : forth).empty() ? std::nan("") : HUGE_VAL;
            return std::max(forth.back(), back.back());
          }};
}

Metric hd95_metric() {
  return {"HD95",
          "mm",
          "95th percentile of the surface distances of both directions together",
          Kind::distance,
          Basis::surface,
          [](const LabelComparison& label) {
            const auto& [forth, back] = label.surface;
            std::vector<double> both(forth.size() + back.size());
            std::merge(forth.begin(), forth.end(), back.begin(), back.end(), both.begin());
            return linear_percentile(both, 95);
          }};
}

Metric hd95_monai_metric() {
  return {"HD95_monai",
          "mm",
          "larger of the two directed 95th percentiles",
          Kind::distance,
          Basis::surface,
          [](const LabelComparison& label) {
            const auto& [forth, back] = label.surface;
            if (forth.empty() || back.empty()) return std::nan("");
            return std::max(linear_percentile(forth, 95), linear_percentile(back, 95));
          }};
}

Metric hd_deepmind_metric() {
  return {
      "HD_deepmind",  "mm",           "HD between surface elements",
      Kind::distance, Basis::surfels, [](const LabelComparison& label) { return larger_quantile(label, 1); }};
}

Metric hd95_deepmind_metric() {
  return {"HD95_deepmind",
          "mm",
          "larger of the two directed 95th percentiles by area",
          Kind::distance,
          Basis::surfels,
          [](const LabelComparison& label) { return larger_quantile(label, 0.95); }};
}

}  // namespace mambaseg
