#include "mambaseg/report/page.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mambaseg/core/error.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/html.h"
#include "mambaseg/report/page_parts.h"
#include "mambaseg/report/plots.h"
#include "mambaseg/stats/bootstrap.h"

namespace mambaseg {
namespace {

constexpr size_t kFewLabels = 3;  // up to so many labels are taken for lesions rather than structures

std::string tile(const std::string& what, const std::string& value) {
  return "<div class=\"tile\"><b>" + value + "</b><span class=\"soft\">" + what + "</span></div>";
}

std::string tiles(const Evaluation& e) {
  std::string html = "<div class=\"tiles\">" + tile("cases", std::to_string(e.cases.size())) +
                     tile(e.labels.size() == 1 ? "structure" : "structures", std::to_string(e.labels.size()));
  for (const char* name : {"Dice", "HD95", "ASSD", "NSD"})
    if (const auto m = metric_position(e, name)) {
      const std::string& unit = e.metrics[*m]->unit;
      html += tile(std::string("mean ") + name + (unit.empty() ? "" : ", " + unit),
                   number_cell(e.over_labels(*m).mean));
    }
  int64_t missed = 0, spurious = 0;
  for (size_t l = 0; l < e.labels.size(); ++l) {
    missed += e.count(l, Presence::missed);
    spurious += e.count(l, Presence::spurious);
  }
  const auto count = [](int64_t n) {
    return n > 0 ? concat("<span class=\"bad\">", n, "</span>") : std::string("0");
  };
  return html + tile("missed", count(missed)) + tile("spurious", count(spurious)) + "</div>\n";
}

std::string warnings(const Evaluation& e) {
  std::string html;
  if (!e.missing.empty())
    html += concat("<p class=\"warn\">", e.missing.size(),
                   " references have no prediction and are not scored: ", html_text(name_list(e.missing, 20)),
                   "</p>\n");
  if (!e.extra.empty())
    html += concat("<p class=\"warn\">", e.extra.size(),
                   " predictions have no reference: ", html_text(name_list(e.extra, 20)), "</p>\n");
  return html;
}

std::string structures_section(const Evaluation& e) {
  const std::vector<size_t> shown = ranked_metrics(e);
  std::vector<std::string> header{"structure", "cases", "missed", "spurious"};
  for (const size_t m : shown) {
    header.push_back(metric_heading(*e.metrics[m]));
    if (m == shown.front()) header.push_back("95 % interval<br>of the mean");
  }
  std::vector<std::vector<std::string>> rows;
  for (size_t l = 0; l < e.labels.size(); ++l) {
    const int64_t missed = e.count(l, Presence::missed), spurious = e.count(l, Presence::spurious);
    const auto count = [](int64_t n) {
      return n > 0 ? concat("<span class=\"bad\">", n, "</span>") : std::string("0");
    };
    rows.push_back({html_text(e.labels[l].name),
                    std::to_string(e.count(l, Presence::both) + missed + spurious), count(missed),
                    count(spurious)});
    for (const size_t m : shown) {
      const std::vector<double> values = e.values(m, l);
      rows.back().push_back(mean_cell(describe(values)));
      if (m != shown.front()) continue;
      const auto [low, high] = bootstrap_mean(values, {2000, 0.95, 0});
      rows.back().push_back(values.size() < 2 ? "–" : number_cell(low) + "–" + number_cell(high));
    }
  }
  if (e.labels.size() > 1) {
    rows.push_back({"<b>mean over structures</b>", "", "", ""});
    for (const size_t m : shown) {
      rows.back().push_back("<b>" + mean_cell(e.over_labels(m)) + "</b>");
      if (m == shown.front()) rows.back().emplace_back();
    }
  }
  return html_section(
      "Structures",
      "Mean ± standard deviation over cases, in the last row over structures; the interval is a bootstrap.",
      html_table(header, rows));
}

std::string boxes_section(const Evaluation& e) {
  std::string html;
  for (const char* name : {"Dice", "HD95", "NSD", "VS"}) {
    const auto m = metric_position(e, name);
    if (!m) continue;
    std::vector<BoxLine> lines;
    for (size_t l = 0; l < e.labels.size(); ++l) lines.push_back({e.labels[l].name, e.values(*m, l)});
    const Metric& metric = *e.metrics[*m];
    html += html_section(metric.name, html_text(metric.definition),
                         box_plots(lines, metric.kind == Kind::score, metric.unit));
  }
  return html;
}

std::string volumes_section(const Evaluation& e) {
  std::string html;
  for (size_t l = 0; l < e.labels.size(); ++l) {
    auto [a, b] = e.volumes(l);
    if (a.size() < 2) continue;
    const double largest =
        std::max(*std::max_element(a.begin(), a.end()), *std::max_element(b.begin(), b.end()));
    const bool cm3 = largest >= 10000;
    for (auto* values : {&a, &b})
      for (double& v : *values) v /= cm3 ? 1000 : 1;
    html += bland_altman_plot(e.labels[l].name, a, b, bland_altman(a, b), cm3 ? "cm³" : "mm³");
  }
  if (html.empty()) return "";
  return html_section(
      "Volumes (Bland–Altman)",
      "Predicted minus reference volume over the mean of both. Red: bias; dashed: bias ± 1.96 standard "
      "deviations, between which 95 % of differences are expected.",
      "<div class=\"plots\">" + html + "</div>\n");
}

std::string lesions_section(const Evaluation& e) {
  const auto count = metric_position(e, "lesions_reference"), missed = metric_position(e, "lesions_missed"),
             false_ones = metric_position(e, "lesions_false"), f1 = metric_position(e, "lesion_F1");
  if (!count || !missed || !false_ones || !f1 || e.labels.size() > kFewLabels) return "";
  std::vector<std::vector<std::string>> rows;
  for (size_t l = 0; l < e.labels.size(); ++l) {
    const auto total = [&](size_t m) {
      const std::vector<double> values = e.values(m, l);
      return std::accumulate(values.begin(), values.end(), 0.0);
    };
    const double there = total(*count), lost = total(*missed), extra = total(*false_ones);
    rows.push_back({html_text(e.labels[l].name), short_number(there), number_cell((there - lost) / there),
                    number_cell(extra / double(e.cases.size())), mean_cell(describe(e.values(*f1, l)))});
  }
  return html_section(
      "Detection of lesions",
      "A lesion is a connected component; it is found when one voxel of it is predicted.",
      html_table({"structure", "lesions", "found, pooled", "false per case", "F1 per case"}, rows));
}

std::string grouping_section(const Evaluation& e, const Grouping& grouping) {
  const std::vector<size_t> shown = ranked_metrics(e);
  std::vector<std::string> header{"group", "cases"};
  for (const size_t m : shown) header.push_back(metric_heading(*e.metrics[m]));
  std::vector<std::vector<std::string>> rows;
  for (const Subset& subset : grouping.subsets) {
    rows.push_back({html_text(subset.name), std::to_string(subset.cases.size())});
    for (const size_t m : shown)
      rows.back().push_back(mean_cell(grouping.label ? describe_subset(e, m, *grouping.label, subset)
                                                     : describe_subset(e, m, subset)));
  }
  return html_section(grouping.heading,
                      grouping.label ? "" : "Mean over structures ± standard deviation between them.",
                      html_table(header, rows));
}

std::string pictures_section(const PageContent& content) {
  if (content.pictures.empty()) return "";
  std::string html = "<div class=\"cases\">";
  for (const CasePicture& picture : content.pictures)
    html += "<figure>" + html_png(picture.path, picture.caption) + "<figcaption>" +
            html_text(picture.caption) + "</figcaption></figure>\n";
  return html_section(
      "Worst and best cases",
      "Planes through the slices with most of the reference. R and L are the patient's sides.",
      html + "</div>\n");
}

std::string cases_section(const Evaluation& e) {
  const std::vector<size_t> shown = ranked_metrics(e);
  std::vector<std::string> header{"case"};
  for (const size_t m : shown) header.push_back(metric_heading(*e.metrics[m]));
  header.emplace_back("missed or spurious");
  std::vector<std::vector<std::string>> rows;
  for (size_t c = 0; c < e.cases.size(); ++c) {
    rows.push_back({html_text(e.cases[c].files.name)});
    for (const size_t m : shown) rows.back().push_back(number_cell(case_mean(e, m, c)));
    std::vector<std::string> faults;
    for (size_t l = 0; l < e.labels.size(); ++l) {
      const Presence presence = e.cases[c].labels[l].presence;
      if (presence == Presence::missed) faults.push_back("no " + e.labels[l].name);
      if (presence == Presence::spurious) faults.push_back("spurious " + e.labels[l].name);
    }
    rows.back().push_back(html_text(name_list(faults, 3)));
  }
  return html_section("Cases", "Mean over structures.",
                      concat("<details><summary>All ", e.cases.size(), " cases</summary>",
                             html_table(header, rows), "</details>\n"));
}

}  // namespace

double case_mean(const Evaluation& evaluation, size_t metric, size_t case_index) {
  std::vector<double> values;
  for (const LabelScores& label : evaluation.cases[case_index].labels)
    if (label.values[metric]) values.push_back(*label.values[metric]);
  return describe(values).mean;
}

std::vector<size_t> cases_from_worst(const Evaluation& evaluation) {
  const std::vector<size_t> ranked = ranked_metrics(evaluation);
  std::vector<std::pair<double, size_t>> order;
  if (!ranked.empty()) {
    const double sign = evaluation.metrics[ranked[0]]->kind == Kind::score ? 1 : -1;
    for (size_t c = 0; c < evaluation.cases.size(); ++c)
      if (const double mean = case_mean(evaluation, ranked[0], c); std::isfinite(mean))
        order.emplace_back(sign * mean, c);
  }
  std::sort(order.begin(), order.end());
  std::vector<size_t> cases;
  for (const auto& [value, c] : order) cases.push_back(c);
  return cases;
}

std::string evaluation_page(const Evaluation& evaluation, const PageContent& content, const Origin& origin) {
  std::string body = tiles(evaluation) + warnings(evaluation) + structures_section(evaluation) +
                     boxes_section(evaluation) + lesions_section(evaluation);
  for (const Grouping& grouping : content.groupings) body += grouping_section(evaluation, grouping);
  body += pictures_section(content) + volumes_section(evaluation) + cases_section(evaluation) +
          definitions_section(evaluation) + origin_section(origin);
  return html_page(content.title, body);
}

}  // namespace mambaseg
