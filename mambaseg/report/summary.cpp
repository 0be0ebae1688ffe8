#include "mambaseg/report/summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "mambaseg/report/text_table.h"
#include "mambaseg/stats/bland_altman.h"

namespace mambaseg {
namespace {

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json counts_json(const Counts& c) {
  return {{"TP", c.tp},
          {"FP", c.fp},
          {"FN", c.fn},
          {"TN", c.tn},
          {"n_pred", c.prediction()},
          {"n_ref", c.reference()}};
}

Json case_json(const Evaluation& evaluation, const CaseScores& one) {
  Json labels = Json::object();
  for (const LabelScores& label : one.labels) {
    Json& values = labels[std::to_string(label.label)] = counts_json(label.counts);
    values["presence"] = to_text(label.presence);
    for (size_t m = 0; m < evaluation.metrics.size(); ++m)
      values[evaluation.metrics[m]->name] = label.values[m] ? number(*label.values[m]) : Json();
  }
  return {{"case", one.files.name},
          {"reference_file", one.files.reference},
          {"prediction_file", one.files.prediction},
          {"metrics", labels}};
}

/// Means of the voxel counts of a label over all cases.
Json mean_counts(const Evaluation& evaluation, size_t label) {
  Json sums = Json::object();
  for (const CaseScores& one : evaluation.cases) {
    const Json counts = counts_json(one.labels[label].counts);
    for (const auto& [key, value] : counts.items())
      sums[key] = sums.value(key, 0.0) + value.get<double>() / double(evaluation.cases.size());
  }
  return sums;
}

Json spread(const Description& d) {
  return {{"n", d.n},           {"mean", number(d.mean)},     {"sd", number(d.sd)}, {"min", number(d.min)},
          {"q1", number(d.q1)}, {"median", number(d.median)}, {"q3", number(d.q3)}, {"max", number(d.max)}};
}

/// Null with fewer than two cases.
Json volumes_json(const Evaluation::Volumes& volumes) {
  if (volumes.predicted.size() < 2) return {};
  const BlandAltman agreement = bland_altman(volumes.predicted, volumes.reference);
  return {{"n", agreement.n},
          {"correlation", number(agreement.correlation)},
          {"bias_mm3", agreement.bias},
          {"sd_mm3", agreement.sd},
          {"limits_mm3", agreement.limits}};
}

std::string formatted(const char* format, double a, double b = 0) {
  char text[64];
  std::snprintf(text, sizeof text, format, a, b);
  return text;
}

std::string mean_and_sd(const Description& d) {
  if (d.n == 0) return "-";
  const char* both = std::abs(d.mean) < 100 ? "%.4f ± %.4f" : "%.1f ± %.1f";
  const char* alone = std::abs(d.mean) < 100 ? "%.4f" : "%.1f";
  return std::isfinite(d.sd) ? formatted(both, d.mean, d.sd) : formatted(alone, d.mean);
}

}  // namespace

Json summary_json(const Evaluation& evaluation, const Origin& origin) {
  Json mean = Json::object(), pooled = Json::object(), foreground = Json::object(), spreads = Json::object(),
       presence = Json::object(), volumes = Json::object();
  Json names = Json::object(), cases = Json::array(), units = Json::object(), definitions = Json::object();
  for (size_t l = 0; l < evaluation.labels.size(); ++l) {
    const std::string key = std::to_string(evaluation.labels[l].id);
    names[key] = evaluation.labels[l].name;
    mean[key] = mean_counts(evaluation, l);
    for (size_t m = 0; m < evaluation.metrics.size(); ++m) {
      const Description d = describe(evaluation.values(m, l));
      mean[key][evaluation.metrics[m]->name] = number(d.mean);
      if (const auto value = evaluation.pooled(m, l))
        pooled[key][evaluation.metrics[m]->name] = number(*value);
      spreads[key][evaluation.metrics[m]->name] = spread(d);
    }
    volumes[key] = volumes_json(evaluation.volumes(l));
    for (const Presence p : {Presence::both, Presence::missed, Presence::spurious, Presence::absent})
      presence[key][to_text(p)] = evaluation.count(l, p);
  }
  for (size_t m = 0; m < evaluation.metrics.size(); ++m) {
    const Metric& metric = *evaluation.metrics[m];
    foreground[metric.name] = number(evaluation.over_labels(m).mean);
    units[metric.name] = metric.unit;
    definitions[metric.name] = metric.definition;
  }
  for (const char* key : {"TP", "FP", "FN", "TN", "n_pred", "n_ref"}) {
    double sum = 0;
    for (const auto& [label, values] : mean.items()) sum += values[key].get<double>();
    foreground[key] = sum / double(mean.size());
  }
  for (const CaseScores& one : evaluation.cases) cases.push_back(case_json(evaluation, one));
  return {{"foreground_mean", foreground},
          {"mean", mean},
          {"pooled", pooled},
          {"averages",
           "mean: of the cases' scores (macro); pooled: score of the counts of all cases added up (micro)"},
          {"metric_per_case", cases},
          {"spread", spreads},
          {"presence", presence},
          {"volume_agreement", volumes},
          {"labels", names},
          {"units", units},
          {"definitions", definitions},
          {"nsd_tolerance_mm", evaluation.tolerance_mm},
          {"empty_masks",
           "label in neither image: null, enters no mean; in one image only: scores 0, distances the image "
           "diagonal"},
          {"missing_predictions", evaluation.missing},
          {"extra_predictions", evaluation.extra},
          {"command", origin.command},
          {"version", origin.version}};
}

std::string text_table(const Evaluation& evaluation, const std::vector<std::string>& metrics) {
  std::vector<size_t> shown;
  for (const std::string& name : metrics)
    for (size_t m = 0; m < evaluation.metrics.size(); ++m)
      if (evaluation.metrics[m]->name == name) shown.push_back(m);
  std::vector<std::vector<std::string>> rows{{"structure", "cases", "missed", "spurious"}};
  for (const size_t m : shown) {
    const Metric& metric = *evaluation.metrics[m];
    rows[0].push_back(metric.unit.empty() ? metric.name : metric.name + " " + metric.unit);
  }
  for (size_t l = 0; l < evaluation.labels.size(); ++l) {
    const auto count = [&](Presence p) { return evaluation.count(l, p); };
    const int64_t missed = count(Presence::missed), spurious = count(Presence::spurious);
    rows.push_back({evaluation.labels[l].name, std::to_string(count(Presence::both) + missed + spurious),
                    std::to_string(missed), std::to_string(spurious)});
    for (const size_t m : shown) rows.back().push_back(mean_and_sd(describe(evaluation.values(m, l))));
    if (!evaluation.pictures) continue;
    rows.back()[0] += ", mean of pictures";
    rows.push_back({evaluation.labels[l].name + ", all pixels pooled", "", "", ""});
    for (const size_t m : shown) {
      const auto value = evaluation.pooled(m, l);
      rows.back().push_back(value ? formatted("%.4f", *value) : "-");
    }
  }
  if (evaluation.pictures && evaluation.labels.size() == 1) return aligned_table(rows);
  rows.push_back({"mean over structures", "", "", ""});
  for (const size_t m : shown) rows.back().push_back(mean_and_sd(evaluation.over_labels(m)));
  return aligned_table(rows);
}

}  // namespace mambaseg
