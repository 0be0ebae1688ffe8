// Taha and Hanbury (2015), "Metrics for evaluating 3D medical image segmentation". Compares sizes, not
// places: two masks that do not overlap at all score 1 when they are equally large.
#include <cstdlib>

#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric volume_similarity_metric() {
  return {"VS",
          "",
          "1 - |FN - FP| / (2 TP + FP + FN)",
          Kind::score,
          Basis::counts,
          [](const LabelComparison& label) {
            const Counts& c = label.counts;
            return 1.0 - double(std::abs(c.fn - c.fp)) / double(2 * c.tp + c.fp + c.fn);
          }};
}

}  // namespace mambaseg
