#include "mambaseg/report/runs.h"

#include <cmath>

#include "mambaseg/report/files.h"
#include "mambaseg/report/page_parts.h"
#include "mambaseg/report/text_table.h"

namespace mambaseg {
namespace {

/// The foreground mean of every run.
Description over_runs(const std::vector<Method>& runs, size_t metric) {
  std::vector<double> means;
  for (const Method& run : runs)
    if (const Description d = run.evaluation.over_labels(metric); d.n > 0) means.push_back(d.mean);
  return describe(means);
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

Json runs_json(const std::vector<Method>& runs, const std::string& command, const std::string& version) {
  Json list = Json::array(), mean = Json::object(), sd = Json::object();
  const auto& metrics = runs.front().evaluation.metrics;
  for (const Method& run : runs) {
    Json values = Json::object();
    for (size_t m = 0; m < metrics.size(); ++m)
      values[metrics[m]->name] = number(run.evaluation.over_labels(m).mean);
    list.push_back({{"run", run.name}, {"cases", run.evaluation.cases.size()}, {"foreground_mean", values}});
  }
  for (size_t m = 0; m < metrics.size(); ++m) {
    const Description d = over_runs(runs, m);
    mean[metrics[m]->name] = number(d.mean);
    sd[metrics[m]->name] = number(d.sd);
  }
  return {{"runs", list},
          {"mean_over_runs", mean},
          {"sd_over_runs", sd},
          {"command", command},
          {"version", version}};
}

std::string runs_table(const std::vector<Method>& runs, const std::vector<std::string>& metrics) {
  const Evaluation& first = runs.front().evaluation;
  std::vector<std::vector<std::string>> rows{{"run", "cases"}};
  std::vector<size_t> shown;
  for (const std::string& name : metrics)
    if (const auto m = metric_position(first, name)) {
      shown.push_back(*m);
      rows[0].push_back(name + (first.metrics[*m]->unit.empty() ? "" : " " + first.metrics[*m]->unit));
    }
  for (const Method& run : runs) {
    rows.push_back({run.name, std::to_string(run.evaluation.cases.size())});
    for (const size_t m : shown) rows.back().push_back(short_number(run.evaluation.over_labels(m).mean, 4));
  }
  rows.push_back({"mean of " + std::to_string(runs.size()) + " runs", ""});
  for (const size_t m : shown) {
    const Description d = over_runs(runs, m);
    rows.back().push_back(short_number(d.mean, 4) + " ± " + short_number(d.sd, 2));
  }
  return aligned_table(rows);
}

}  // namespace mambaseg
