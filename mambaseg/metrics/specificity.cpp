// Share of the background that is left alone. It depends on how much empty border the image has, so it is not
// among the usual metrics, and as a property of the background it follows its formula for empty masks too.
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric specificity_metric() {
  return {
      "specificity", "", "TN / (TN + FP)", Kind::measure, Basis::counts, [](const LabelComparison& label) {
        return double(label.counts.tn) / double(label.counts.tn + label.counts.fp);
      }};
}

}  // namespace mambaseg
