// The sums of FastSurfer's scores over the three planes, with the classes of the program's own recipe.

#include "mambaseg/config/recipe.h"
#include "mambaseg/infer/plane_scores.h"
#include "tests/golden_check/network_cases.h"

namespace mambaseg {
namespace {

/// Every slice of every plane by itself, (slices, classes, rows, columns) in the file.
GoldenResult check_view_aggregation(const GoldenCase& golden) {
  Plan plan = from_json<Plan>(read_recipe("fastsurfer_vinn_freesurfer").settings().at("plan"));
  const auto shape = golden.args.at("shape").get<Index3>();
  PlaneScores total(static_cast<int64_t>(plan.classes.size()) + 1, shape, torch::kCPU);
  for (const auto& [plane, alpha] : golden.args.at("alpha").items()) {
    plan.plane = plane;
    if (plane_weight(plan) != alpha.get<double>()) return {false, 0, plane + ": another weight"};
    const torch::Tensor& scores = golden.at("input." + plane);
    for (int64_t slice = 0; slice < scores.size(0); ++slice)
      total.add(scores[slice].unsqueeze(3), slice, plane_axes(plane, "LIA"), plane_weight(plan),
                merged_classes(plan));
  }
  GoldenComparison comparison(golden);
  comparison.output("y", total.sums().movedim(0, 3));
  return comparison.result();
}

}  // namespace

std::span<const GoldenCheck> plane_checks() {
  static const GoldenCheck checks[] = {
      {"eval() accumulation of FastSurferCNN/inference.py, map_prediction_sagittal2full",
       check_view_aggregation}};
  return checks;
}

}  // namespace mambaseg
