#include <cmath>
#include <filesystem>

#include "mambaseg/report/files.h"
#include "mambaseg/report/html.h"
#include "mambaseg/report/page_parts.h"
#include "mambaseg/report/text_table.h"
#include "mambaseg/stats/describe.h"
#include "mambaseg/train/curves.h"
#include "mambaseg/train/study.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// The mean over structures of one run, NaN when no case has a value.
double mean_over_structures(const StudyRun& run, const std::string& metric) {
  const auto position = metric_position(run.evaluation, metric);
  return position ? run.evaluation.over_labels(*position).mean : std::nan("");
}

Description over_runs(const StudyRow& row, const std::string& metric) {
  std::vector<double> means;
  for (const StudyRun& run : row.runs)
    if (const double mean = mean_over_structures(run, metric); std::isfinite(mean)) means.push_back(mean);
  return describe(means);
}

template <class Value>
double largest(const StudyRow& row, const Value& value) {
  double out = 0;
  for (const StudyRun& run : row.runs) out = std::max(out, static_cast<double>(value(run)));
  return out;
}

std::string figures_or_dash(double value) { return value > 0 ? number_cell(value) : "–"; }

std::string table_section(const std::vector<StudyRow>& rows, const std::vector<std::string>& metrics,
                          const std::string& samples) {
  std::vector<std::string> header{"network",       "parameters",
                                  "GMAC",          "G state<br>updates",
                                  "runs",          "epochs",
                                  "best epoch",    samples + "/s<br>training",
                                  "memory<br>GiB", "prediction<br>s a case"};
  header.insert(header.end(), metrics.begin(), metrics.end());
  std::vector<std::vector<std::string>> cells;
  for (const StudyRow& row : rows) {
    if (row.runs.empty()) continue;
    const StudyRun& first = row.runs.front();
    cells.push_back(
        {concat("<a href=\"", html_text(concat(row.name, "/", first.name, "/report/report.html")), "\">",
                html_text(row.name), "</a>"),
         std::to_string(row.parameters),
         figures_or_dash(static_cast<double>(row.operations.multiply_adds) / 1e9),
         figures_or_dash(static_cast<double>(row.operations.state_updates) / 1e9),
         std::to_string(row.runs.size()), std::to_string(first.epochs), std::to_string(first.best_epoch),
         figures_or_dash(largest(row, [](const StudyRun& run) { return run.patches_per_s; })),
         figures_or_dash(largest(row, [](const StudyRun& run) { return run.peak_memory_mib / 1024; })),
         figures_or_dash(largest(row, [](const StudyRun& run) { return run.prediction_s; }))});
    for (const std::string& metric : metrics) cells.back().push_back(mean_cell(over_runs(row, metric)));
  }
  return html_section(
      "Networks",
      "Scores: mean over structures, and its standard deviation between runs where there are "
      "several. GMAC: multiply-adds of convolutions and matrix products, and state updates of "
      "selective scans, for one of the " +
          samples +
          " in prediction. Speed: the fastest epoch. Memory: of the whole process while it trained. A "
          "name leads to the report of the first run, with its worst and best cases.",
      html_table(header, cells));
}

std::string problems_section(const std::vector<StudyRow>& rows) {
  std::string html;
  for (const StudyRow& row : rows)
    if (!row.problem.empty())
      html += concat("<p class=\"warn\">", html_text(row.name), ": ", html_text(row.problem), "</p>\n");
  return html.empty() ? "" : html_section("Failed", "Left out of the comparison.", html);
}

std::string curves_section(const std::vector<StudyRow>& rows) {
  std::string html;
  for (const StudyRow& row : rows)
    for (const StudyRun& run : row.runs)
      html += concat("<figure class=\"plot\"><h3>", html_text(row.name),
                     row.runs.size() > 1 ? ", " + html_text(run.name) : "", "</h3>",
                     training_curves(read_epoch_lines((fs::path(run.folder) / "journal.jsonl").string())),
                     "</figure>\n");
  return html.empty() ? ""
                      : html_section("Training", "Loss, and Dice of the validation cases, over the epochs.",
                                     "<div class=\"plots\">" + html + "</div>\n");
}

}  // namespace

std::string study_page_lead(const std::vector<StudyRow>& rows, const std::vector<std::string>& metrics,
                            const std::string& samples) {
  return table_section(rows, metrics, samples) + problems_section(rows) + curves_section(rows);
}

std::string study_table(const std::vector<StudyRow>& rows, const std::vector<std::string>& metrics) {
  std::vector<std::vector<std::string>> cells{{"network", "parameters", "runs"}};
  cells[0].insert(cells[0].end(), metrics.begin(), metrics.end());
  for (const StudyRow& row : rows) {
    cells.push_back({row.name, std::to_string(row.parameters), std::to_string(row.runs.size())});
    for (const std::string& metric : metrics) {
      const Description d = over_runs(row, metric);
      cells.back().push_back(d.n == 0 ? "-"
                                      : short_number(d.mean, 4) +
                                            (std::isfinite(d.sd) ? " ± " + short_number(d.sd, 2) : ""));
    }
  }
  return aligned_table(cells);
}

Json study_json(const std::vector<StudyRow>& rows, const std::vector<std::string>& metrics) {
  const auto number = [](double value) { return std::isfinite(value) ? Json(value) : Json(); };
  Json out = Json::array();
  for (const StudyRow& row : rows) {
    Json line = {{"name", row.name},
                 {"parameters", row.parameters},
                 {"multiply_adds", row.operations.multiply_adds},
                 {"state_updates", row.operations.state_updates},
                 {"runs", Json::array()}};
    for (const StudyRun& run : row.runs)
      line["runs"].push_back({{"name", run.name},
                              {"epochs", run.epochs},
                              {"best_epoch", run.best_epoch},
                              {"patches_per_s", run.patches_per_s},
                              {"peak_memory_mib", run.peak_memory_mib},
                              {"prediction_s", run.prediction_s > 0 ? Json(run.prediction_s) : Json()}});
    if (!row.problem.empty()) line["problem"] = row.problem;
    for (const std::string& metric : metrics) {
      const Description d = over_runs(row, metric);
      Json values = Json::array();
      for (const StudyRun& run : row.runs) values.push_back(number(mean_over_structures(run, metric)));
      line[metric] = {{"mean", number(d.mean)}, {"sd", number(d.sd)}, {"values", values}};
    }
    out.push_back(line);
  }
  return out;
}

}  // namespace mambaseg
