// Dice (1945), "Measures of the amount of ecologic association between species"; the same number as F1.
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric dice_metric() {
  return {
      "Dice", "", "2 TP / (2 TP + FP + FN)", Kind::score, Basis::counts, [](const LabelComparison& label) {
        const Counts& c = label.counts;
        return 2.0 * double(c.tp) / double(2 * c.tp + c.fp + c.fn);
      }};
}

}  // namespace mambaseg
