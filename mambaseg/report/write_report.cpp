#include "mambaseg/report/write_report.h"

#include <filesystem>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/report/case_pictures.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/table_file.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

std::string made_folder(const fs::path& path) {
  make_folder(path.string());
  return path.string();
}

void write_json(const fs::path& path, const Json& json) {
  write_file_atomically(path.string(), json.dump(2) + "\n");
}

std::vector<Grouping> groupings_of(const Evaluation& evaluation, const ReportOptions& options) {
  std::vector<Grouping> groupings;
  if (!options.strata_cm3.empty())
    for (size_t l = 0; l < evaluation.labels.size(); ++l)
      groupings.push_back({"By volume: " + evaluation.labels[l].name,
                           subsets_by_volume(evaluation, l, options.strata_cm3), l});
  if (!options.participants.empty())
    groupings.push_back({"By " + options.group_by,
                         with_context(options.participants,
                                      [&] {
                                        return subsets_by_column(evaluation,
                                                                 read_table_file(options.participants),
                                                                 options.group_by);
                                      }),
                         std::nullopt});
  return groupings;
}

/// Means of the groups for summary.json: heading -> group -> metric.
Json groupings_json(const Evaluation& evaluation, const std::vector<Grouping>& groupings) {
  Json json = Json::object();
  for (const Grouping& grouping : groupings)
    for (const Subset& subset : grouping.subsets) {
      Json& group = json[grouping.heading][subset.name];
      group["cases"] = subset.cases.size();
      for (size_t m = 0; m < evaluation.metrics.size(); ++m) {
        const Description d = grouping.label ? describe_subset(evaluation, m, *grouping.label, subset)
                                             : describe_subset(evaluation, m, subset);
        group[evaluation.metrics[m]->name] = d.n > 0 ? Json(d.mean) : Json();
      }
    }
  return json;
}

}  // namespace

void write_report(const Evaluation& evaluation, const EvaluationOptions& scored, const ReportOptions& options,
                  const Origin& origin, const Warn& warn) {
  PageContent content;
  content.groupings = groupings_of(evaluation, options);
  Json summary = summary_json(evaluation, origin);
  summary["groups"] = groupings_json(evaluation, content.groupings);
  const fs::path path(options.path);
  if (path.extension() == ".json") {
    made_folder(path.has_parent_path() ? path.parent_path() : ".");
    write_json(path, summary);
    return;
  }
  made_folder(path);
  write_json(path / "summary.json", summary);
  write_file_atomically((path / "cases.csv").string(), cases_csv(evaluation));
  const fs::path stats = made_folder(path / "stats");
  for (const CaseScores& one : evaluation.cases)
    write_file_atomically((stats / (one.files.name + ".aseg.stats")).string(), aseg_stats(evaluation, one));
  content.pictures = write_case_pictures(evaluation, scored, options.images, (path / "pictures").string(),
                                         options.pictures, warn);
  write_file_atomically((path / "report.html").string(), evaluation_page(evaluation, content, origin));
}

std::string method_folder(const std::string& method) {
  std::string name = method;
  for (char& letter : name)
    if (letter == '/') letter = '_';
  return name;
}

void write_comparison(const Comparison& comparison, const std::string& folder, const Origin& origin,
                      const ComparisonHead& head) {
  const fs::path path = made_folder(folder);
  for (const Method& method : comparison.methods) {
    const fs::path own = made_folder(path / method_folder(method.name));
    write_json(own / "summary.json", summary_json(method.evaluation, origin));
    write_file_atomically((own / "cases.csv").string(), cases_csv(method.evaluation));
  }
  write_json(path / "comparison.json", comparison_json(comparison, origin.command, origin.version));
  write_file_atomically((path / "report.html").string(), comparison_page(comparison, head, origin));
}

}  // namespace mambaseg
