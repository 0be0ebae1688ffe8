// Share of the prediction that is right (positive predictive value).
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric precision_metric() {
  return {"precision", "", "TP / (TP + FP)", Kind::score, Basis::counts, [](const LabelComparison& label) {
            const Counts& c = label.counts;
            return double(c.tp) / double(c.tp + c.fp);
          }};
}

}  // namespace mambaseg
