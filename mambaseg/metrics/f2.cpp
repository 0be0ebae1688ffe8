// van Rijsbergen (1979), F measure with beta 2: recall weighs four times as much as precision.
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric f2_metric() {
  return {
      "F2", "", "5 TP / (5 TP + 4 FN + FP)", Kind::score, Basis::counts, [](const LabelComparison& label) {
        const Counts& c = label.counts;
        return 5.0 * double(c.tp) / double(5 * c.tp + 4 * c.fn + c.fp);
      }};
}

}  // namespace mambaseg
