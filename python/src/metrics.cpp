// Scores of label arrays.

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <map>

#include "mambaseg/core/error.h"
#include "mambaseg/metrics/compare_labels.h"
#include "python/src/parts.h"

namespace mambaseg::python {
namespace {

namespace py = pybind11;
using Scores = std::map<int32_t, std::map<std::string, std::optional<double>>>;
/// i, the first axis, fastest in memory, as nibabel reads NIfTI.
using LabelArray = py::array_t<int32_t, py::array::f_style | py::array::forcecast>;

Volume<int32_t> volume_of(const LabelArray& labels, const Vector3& spacing_mm) {
  require(labels.ndim() == 2 || labels.ndim() == 3, "scores: expected arrays of 2 or 3 axes, got ",
          labels.ndim());
  Geometry geometry;
  for (int axis = 0; axis < 3; ++axis) {
    geometry.size[axis] = axis < labels.ndim() ? labels.shape(axis) : 1;
    geometry.voxel_to_ras_mm.matrix[axis][axis] = spacing_mm[axis];
  }
  Volume<int32_t> volume;
  volume.geometry = geometry;
  volume.voxels.assign(labels.data(), labels.data() + labels.size());
  return volume;
}

}  // namespace

void add_metrics(py::module_& module) {
  module.def("metric_list", [] {
    std::vector<std::tuple<std::string, std::string, std::string>> all;
    for (const Metric& metric : metrics()) all.emplace_back(metric.name, metric.unit, metric.definition);
    return all;
  });
  module.def("usual_metrics", [] {
    std::vector<std::string> names;
    for (const Metric* metric : usual_metrics()) names.push_back(metric->name);
    return names;
  });
  module.def("scores", [](const LabelArray& reference, const LabelArray& prediction,
                          std::optional<std::vector<int32_t>> labels, const Vector3& spacing_mm,
                          const std::vector<std::string>& names, double tolerance_mm, int connectivity,
                          int threads) {
    require(connectivity >= 1 && connectivity <= 3,
            "scores: connectivity: expected 1 (faces), 2 (edges) or 3 (corners), got ", connectivity);
    ScoreOptions options;
    for (const std::string& name : names) options.metrics.push_back(&metric_by_name(name));
    options.tolerance_mm = tolerance_mm;
    options.connectivity = static_cast<Connectivity>(connectivity);
    options.threads = std::max(threads, 1);
    const Volume<int32_t> a = volume_of(reference, spacing_mm), b = volume_of(prediction, spacing_mm);
    const py::gil_scoped_release others_may_run;
    if (!labels) {
      labels = labels_in(a);
      for (const int32_t label : labels_in(b)) labels->push_back(label);
    }
    std::sort(labels->begin(), labels->end());
    labels->erase(std::unique(labels->begin(), labels->end()), labels->end());
    Scores scores;
    for (const LabelScores& of : compare_labels(a, b, *labels, options))
      for (size_t m = 0; m < names.size(); ++m) scores[of.label][names[m]] = of.values[m];
    return scores;
  });
}

}  // namespace mambaseg::python
