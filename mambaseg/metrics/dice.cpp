// Dice (1945), "Measures of the amount of ecologic association between species"; Zijdenbos et al. (1994) for
// images.
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric dice_metric() {
  return {"Dice", "", "2 TP / (2 TP + FP + FN)", Kind::score, false, [](const LabelComparison& label) {
            const Counts& c = label.counts;
            return 2.0 * double(c.tp) / double(2 * c.tp + c.fp + c.fn);
          }};
}

}  // namespace mambaseg
