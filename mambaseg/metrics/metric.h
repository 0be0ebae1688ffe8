#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mambaseg/metrics/components.h"

namespace mambaseg {

/// Voxels of one label: in both images, in the prediction only, in the reference only, in neither.
struct Counts {
  int64_t tp = 0, fp = 0, fn = 0, tn = 0;
  int64_t reference() const { return tp + fn; }
  int64_t prediction() const { return tp + fp; }
  bool operator==(const Counts&) const = default;
};

/// Where a label occurs. A label absent from both images of a case has nothing to score; one that only the
/// reference has was missed; one that only the prediction has is spurious.
enum class Presence { both, missed, spurious, absent };
const char* to_text(Presence presence);

/// Distances in mm from one surface to the other, both directions, each ascending. Empty for an empty mask;
/// infinite where the other mask is empty.
struct SurfaceDistances {
  std::vector<double> reference_to_prediction;
  std::vector<double> prediction_to_reference;
};

/// Distances of surface elements, ascending, and the area that each stands for.
struct WeightedDistances {
  std::vector<double> distance_mm;
  std::vector<double> area;
};

/// All that the metrics of one label in one case are computed from.
struct LabelComparison {
  Counts counts;
  SurfaceDistances surface;                           ///< between voxel centres of surface voxels (surface.h)
  WeightedDistances surfels_reference_to_prediction;  ///< between marching cubes (surfels.h)
  WeightedDistances surfels_prediction_to_reference;
  LesionCounts lesions;
  double voxel_volume_mm3 = 1;
  double diagonal_mm = 0;   ///< between the centres of opposite corner voxels of the image
  double tolerance_mm = 1;  ///< of the normalised surface Dice

  Presence presence() const;
};

enum class Kind {
  score,     ///< 1 is best, 0 is worst
  distance,  ///< mm, 0 is best, the image diagonal is worst
  measure,   ///< a volume or a count: has no worst value
};

/// What a metric reads of LabelComparison beside the counts; what no metric asks for is not computed.
enum class Basis { counts, surface, surfels, lesions };

/// One metric. `formula` is NaN or infinite where the definition divides by nothing; score() knows what that
/// means.
struct Metric {
  std::string name;        ///< as in tables and files, for example "HD95"
  std::string unit;        ///< "mm", "mm3", "" for none
  std::string definition;  ///< one line
  Kind kind = Kind::score;
  Basis basis = Basis::counts;
  double (*formula)(const LabelComparison&) = nullptr;
};

/// Every metric (metrics.cpp), in the order of the tables.
std::span<const Metric> metrics();

/// The metrics that are computed when nobody says which: one definition of each idea, without the variants of
/// other packages.
std::vector<const Metric*> usual_metrics();

/// The metric of that name. Throws UsageError with the nearest name.
const Metric& metric_by_name(const std::string& name);

/// The same metric of pictures, whose pixels are taken as 1 mm but are none: its unit is "px".
const Metric& in_pixels(const Metric& metric);

/// The value that is reported, by one rule for all scores and distances:
/// - label in neither image: undefined (nothing is reported, the case does not enter any mean);
/// - label in one image only (missed or spurious): the worst value, 0 for a score and the image diagonal for
/// a
///   distance, so that no miss can improve a mean;
/// - label in both: the formula.
/// A measure is always its formula, undefined where that divides by zero.
std::optional<double> score(const Metric& metric, const LabelComparison& comparison);

}  // namespace mambaseg
