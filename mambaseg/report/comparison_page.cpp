#include <algorithm>
#include <cmath>

#include "mambaseg/core/error.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/html.h"
#include "mambaseg/report/page.h"
#include "mambaseg/report/page_parts.h"
#include "mambaseg/report/plots.h"

namespace mambaseg {
namespace {

std::string means_section(const Comparison& comparison) {
  const std::vector<size_t> shown = ranked_metrics(comparison.methods[0].evaluation);
  std::vector<std::string> header{"method"};
  for (const size_t m : shown) header.push_back(metric_heading(*comparison.methods[0].evaluation.metrics[m]));
  std::vector<std::vector<std::string>> rows;
  for (const Method& method : comparison.methods) {
    rows.push_back({html_text(method.name)});
    for (const size_t m : shown) rows.back().push_back(mean_cell(method.evaluation.over_labels(m)));
  }
  return html_section("Means", "Mean over structures ± standard deviation between them.",
                      html_table(header, rows));
}

std::string p_cell(double p) {
  if (!std::isfinite(p)) return "–";
  const std::string text = p < 0.001 ? "&lt; 0.001" : short_number(p, 2);
  return p < 0.05 ? "<b>" + text + "</b>" : text;
}

std::string tests_table(const Comparison& comparison, const std::vector<PairedTest>& tests) {
  std::vector<std::vector<std::string>> rows;
  const Evaluation& e = comparison.methods[0].evaluation;
  for (const PairedTest& test : tests) {
    std::string what = html_text(test.metric);
    if (test.label)
      for (const LabelEntry& entry : e.labels)
        if (entry.id == *test.label) what = html_text(entry.name) + ", " + what;
    rows.push_back(
        {what, html_text(comparison.methods[test.first].name + " – " + comparison.methods[test.second].name),
         std::to_string(test.cases), number_cell(test.first_mean), number_cell(test.second_mean),
         number_cell(test.difference),
         number_cell(test.difference_ci[0]) + " to " + number_cell(test.difference_ci[1]),
         p_cell(test.test.p), p_cell(test.p_holm), number_cell(test.test.effect)});
  }
  return html_table({"metric", "methods", "cases", "first", "second", "difference", "95 % interval", "p",
                     "p, Holm", "effect"},
                    rows);
}

std::string boxes_section(const Comparison& comparison) {
  std::string html;
  for (const char* name : {"Dice", "HD95", "NSD"}) {
    const Evaluation& e = comparison.methods[0].evaluation;
    const auto m = metric_position(e, name);
    if (!m) continue;
    std::vector<BoxLine> lines;
    for (size_t l = 0; l < e.labels.size(); ++l)
      for (size_t k = 0; k < comparison.methods.size(); ++k)
        lines.push_back({e.labels[l].name + ": " + comparison.methods[k].name,
                         comparison.methods[k].evaluation.values(*m, l), int(k % 4)});
    html += html_section(name, html_text(e.metrics[*m]->definition),
                         box_plots(lines, e.metrics[*m]->kind == Kind::score, e.metrics[*m]->unit));
  }
  return html;
}

/// The cases that all methods together find hardest.
std::string worst_section(const Comparison& comparison) {
  constexpr size_t kShown = 5;
  const Evaluation& first = comparison.methods[0].evaluation;
  const std::vector<size_t> ranked = ranked_metrics(first);
  if (ranked.empty()) return "";
  const size_t metric = ranked[0];
  std::vector<std::pair<double, size_t>> means;
  for (size_t c = 0; c < first.cases.size(); ++c) {
    double sum = 0;
    for (const Method& method : comparison.methods) sum += case_mean(method.evaluation, metric, c);
    if (std::isfinite(sum)) means.emplace_back(first.metrics[metric]->kind == Kind::score ? sum : -sum, c);
  }
  std::sort(means.begin(), means.end());
  if (means.size() > kShown) means.resize(kShown);
  std::vector<std::string> header{"case"};
  for (const Method& method : comparison.methods) header.push_back(html_text(method.name));
  std::vector<std::vector<std::string>> rows;
  for (const auto& [mean, c] : means) {
    rows.push_back({html_text(first.cases[c].files.name)});
    for (const Method& method : comparison.methods)
      rows.back().push_back(number_cell(case_mean(method.evaluation, metric, c)));
  }
  return html_section("Hardest cases",
                      html_text(first.metrics[metric]->name) + ", worst of all methods first.",
                      html_table(header, rows));
}

}  // namespace

std::string comparison_page(const Comparison& comparison, const ComparisonHead& head, const Origin& origin) {
  const Evaluation& e = comparison.methods[0].evaluation;
  std::string body =
      head.lead + concat("<p class=\"soft\">", comparison.methods.size(), " sets of predictions, ",
                         e.cases.size(), " cases in common, ", e.labels.size(), " structures.</p>\n");
  if (!comparison.left_out.empty())
    body += "<p class=\"warn\">Left out, because some method lacks them: " +
            html_text(name_list(comparison.left_out, 20)) + "</p>\n";
  body += means_section(comparison);
  body += html_section(
      "Tests on case means",
      "Wilcoxon signed-rank test, two-sided, on the mean over structures of each case; Holm's "
      "correction within a metric; effect: matched-pairs rank-biserial correlation, 1 when the first "
      "is larger in every case; interval: bootstrap of the mean difference.",
      tests_table(comparison, comparison.overall));
  if (e.labels.size() > 1)
    body +=
        html_section("Tests for each structure", "",
                     "<details><summary>All " + std::to_string(comparison.by_label.size()) +
                         " tests</summary>" + tests_table(comparison, comparison.by_label) + "</details>\n");
  body +=
      boxes_section(comparison) + worst_section(comparison) + definitions_section(e) + origin_section(origin);
  return html_page(head.title, body);
}

}  // namespace mambaseg
