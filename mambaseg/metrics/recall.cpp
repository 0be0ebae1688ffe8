// Share of the reference that is found (sensitivity).
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric recall_metric() {
  return {"recall", "", "TP / (TP + FN)", Kind::score, Basis::counts, [](const LabelComparison& label) {
            const Counts& c = label.counts;
            return double(c.tp) / double(c.tp + c.fn);
          }};
}

}  // namespace mambaseg
