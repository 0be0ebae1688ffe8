#include "mambaseg/report/page_parts.h"

#include <cmath>
#include <cstdio>

#include "mambaseg/core/error.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/html.h"

namespace mambaseg {

std::optional<size_t> metric_position(const Evaluation& evaluation, const std::string& name) {
  for (size_t m = 0; m < evaluation.metrics.size(); ++m)
    if (evaluation.metrics[m]->name == name) return m;
  return std::nullopt;
}

std::vector<size_t> ranked_metrics(const Evaluation& evaluation) {
  std::vector<size_t> ranked;
  for (size_t m = 0; m < evaluation.metrics.size(); ++m)
    if (evaluation.metrics[m]->kind != Kind::measure) ranked.push_back(m);
  return ranked;
}

namespace {

std::string with_decimals(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

/// Decimals that give three digits: 0.794, 2.79, 27.9, 279.
int decimals_of(double value) {
  const double size = std::abs(value);
  return size < 1 ? 3 : size < 10 ? 2 : size < 100 ? 1 : 0;
}

}  // namespace

std::string number_cell(double value) {
  return std::isfinite(value) ? with_decimals(value, decimals_of(value)) : std::string("–");
}

std::string mean_cell(const Description& d) {
  if (d.n == 0) return "–";
  std::string cell = number_cell(d.mean);
  if (std::isfinite(d.sd))
    cell += " <span class=\"soft\">± " + with_decimals(d.sd, decimals_of(d.mean)) + "</span>";
  return cell;
}

std::string metric_heading(const Metric& metric) {
  return html_text(metric.name) + (metric.unit.empty() ? "" : "<br>" + html_text(metric.unit));
}

std::string definitions_section(const Evaluation& evaluation) {
  std::vector<std::vector<std::string>> rows;
  for (const Metric* metric : evaluation.metrics)
    rows.push_back({html_text(metric->name), html_text(metric->unit.empty() ? "–" : metric->unit),
                    "<span style=\"white-space:normal\">" + html_text(metric->definition) + "</span>"});
  const std::string rule = concat(
      "A structure that is in neither image of a case is not scored there and enters no mean. One that only "
      "the "
      "reference has (missed) or only the prediction has (spurious) gets the worst value, 0 for a score and "
      "the diagonal "
      "of the image for a distance, so no miss can improve a mean. Volumes and counts follow their formula. "
      "Tolerance of "
      "NSD: ",
      short_number(evaluation.tolerance_mm), " mm.");
  return html_section("What the figures mean", rule, html_table({"metric", "unit", "definition"}, rows));
}

std::string origin_section(const Origin& origin) {
  return html_section("How this page was made", "",
                      concat("<p><code>", html_text(origin.command), "</code></p><p class=\"soft\">mambaseg ",
                             html_text(origin.version), ". Research use only: not a medical device.</p>\n"));
}

}  // namespace mambaseg
