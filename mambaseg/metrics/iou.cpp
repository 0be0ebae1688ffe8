// Jaccard (1912), "The distribution of the flora in the alpine zone"; ranks like Dice: IoU = Dice / (2 -
// Dice).
#include "mambaseg/metrics/metric.h"

namespace mambaseg {

Metric iou_metric() {
  return {"IoU", "", "TP / (TP + FP + FN)", Kind::score, Basis::counts, [](const LabelComparison& label) {
            const Counts& c = label.counts;
            return double(c.tp) / double(c.tp + c.fp + c.fn);
          }};
}

}  // namespace mambaseg
