#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "cli/scoring.h"
#include "cli/shard_arguments.h"
#include "cli/terminal.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/sha256.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/case_failures.h"
#include "mambaseg/io/cohort.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/report/kept_scores.h"
#include "mambaseg/report/runs.h"
#include "mambaseg/report/write_report.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string reference;
  std::vector<std::string> predictions;
  Scoring scoring;
  ReportOptions report;
  ShardArguments shard;
};

std::string command_line(const Arguments& a) {
  std::string line = "mambaseg evaluate -r " + a.reference;
  for (const std::string& prediction : a.predictions) line += " -p " + prediction;
  line += " -o " + a.report.path + a.scoring.as_typed();
  if (!a.report.images.empty()) line += " --images " + a.report.images;
  for (const double cut : a.report.strata_cm3) line += concat(" --strata-cm3 ", cut);
  if (!a.report.participants.empty())
    line += concat(" --participants ", a.report.participants, " --group-by ", a.report.group_by);
  return line;
}

/// The last part of a path that is not empty: "run1" of "out/run1/".
std::string last_name(const std::string& path) {
  const fs::path p(path);
  return p.filename().empty() ? p.parent_path().filename().string() : p.filename().string();
}

/// Refuses, before anything is scored, reports that would replace or lie among what is scored.
void check_reports(const Arguments& a) {
  std::vector<std::string> inputs{a.reference};
  inputs.insert(inputs.end(), a.predictions.begin(), a.predictions.end());
  for (const std::string* more : {&a.report.images, &a.report.participants, &a.scoring.labels})
    if (!more->empty()) inputs.push_back(*more);
  std::vector<Output> outputs;
  const auto add = [&](const fs::path& folder) {
    const std::string name = image_stem(a.reference);  // of the case, when files are scored
    for (const fs::path& file :
         {fs::path("summary.json"), fs::path("cases.csv"), fs::path("report.html"),
          "stats" / fs::path(name + ".aseg.stats"), "pictures" / fs::path(name + ".png")})
      outputs.push_back({(folder / file).string(), "the report"});
  };
  const fs::path path(a.report.path);
  if (a.predictions.size() > 1) {
    for (const std::string& prediction : a.predictions) add(path / last_name(prediction));
    outputs.push_back({(path / "runs.json").string(), "the report"});
  } else if (path.extension() == ".json") {
    outputs.push_back({a.report.path, "the summary"});
  } else {
    add(path);
  }
  check_outputs(inputs, outputs);
}

/// Several predictions: each with a report of its own, and what they have in common.
void run_splits(const Arguments& a, const Origin& origin) {
  for (size_t p = 1; p < a.predictions.size(); ++p)
    for (size_t q = 0; q < p; ++q)
      if (last_name(a.predictions[p]) == last_name(a.predictions[q]))
        throw UsageError(
            concat("two predictions are called ", last_name(a.predictions[p]), ", rename one folder"));
  check_reports(a);
  std::vector<Method> runs;
  Scoring scoring = a.scoring;
  scoring.allow_missing = true;  // a split predicts its own test cases
  for (const std::string& prediction : a.predictions) {
    runs.push_back({last_name(prediction), scoring.evaluate_folders(a.reference, prediction)});
    ReportOptions report = a.report;
    report.path = (fs::path(a.report.path) / runs.back().name).string();
    write_report(runs.back().evaluation, scoring.options(), report, origin, warnings_to_stderr());
  }
  write_file_atomically((fs::path(a.report.path) / "runs.json").string(),
                        runs_json(runs, origin.command, origin.version).dump(2) + "\n");
  std::cout << runs_table(runs, a.scoring.shown(runs.front().evaluation));
}

/// Scores what no other worker has, each case into a file. Whoever finds the scores of all cases writes the
/// report.
void run_as_worker(const Arguments& a, const Shard& shard, const Origin& origin) {
  if (fs::path(a.report.path).extension() == ".json")
    throw UsageError("--shard: expected a folder for the report of several workers, got -o " + a.report.path);
  const Pairing pairing = a.scoring.paired(a.reference, a.predictions.front());
  const std::string folder = (fs::path(a.report.path) / "scores").string();
  make_folder(folder);
  std::vector<CohortCase> cases;
  for (const CasePair& pair : pairing.pairs)
    cases.push_back({pair.name, (fs::path(folder) / (pair.name + ".json")).string()});
  const EvaluationOptions options = a.scoring.options();
  const CaseScorer scorer(pairing, options);
  const Warn warn = warnings_to_stderr();
  Cohort cohort(shard, a.report.path, cases, warn);
  const std::string labels = fs::is_regular_file(a.scoring.labels) ? whole_file(a.scoring.labels) : "";
  const std::string settings = concat(MAMBASEG_VERSION, a.scoring.as_typed(), " ", sha256(labels));
  const auto kept = [&](size_t number) -> std::optional<ScoredCase> {
    if (!fs::exists(cases[number].output)) return std::nullopt;
    return read_scored_case(cases[number].output, stamp_of(pairing.pairs[number], settings));
  };
  const Progress progress = progress_bar();
  CaseFailures failures;
  int64_t seen = 0;
  for (const size_t number : cohort.order()) {
    const CasePair& pair = pairing.pairs[number];
    if (const auto claim = cohort.claim(number, [&] { return kept(number).has_value(); }))
      failures.guard(
          pair.name, pair.prediction,
          [&] {
            const std::string stamp = stamp_of(pair, settings);
            write_scored_case(cases[number].output, scorer.score(pair, options.threads, warn), stamp);
          },
          claim.get());
    progress("scoring cases", ++seen, static_cast<int64_t>(cases.size()));
  }
  std::vector<ScoredCase> scored;
  for (size_t number = 0; number < cases.size(); ++number)
    if (auto one = kept(number)) scored.push_back(std::move(*one));
  if (scored.size() < cases.size()) {
    std::cout << scored.size() << " of " << cases.size()
              << " cases are scored; the worker after whom none is left writes the report\n";
  } else {
    const Evaluation evaluation = scorer.together(pairing, std::move(scored), warn);
    cohort.in_turn([&] { write_report(evaluation, options, a.report, origin, warn); });
    std::cout << text_table(evaluation, a.scoring.shown(evaluation));
  }
  failures.raise(cases.size(), warn);
}

void run(const Arguments& a) {
  const Origin origin{command_line(a), MAMBASEG_VERSION};
  if (a.report.participants.empty() != a.report.group_by.empty())
    throw UsageError("--participants and --group-by belong together");
  const auto shard = a.shard.read();
  if (a.predictions.size() > 1) {
    if (shard) throw UsageError("--shard: expected one folder of predictions (-p)");
    run_splits(a, origin);
    return;
  }
  check_reports(a);
  if (shard) return run_as_worker(a, *shard, origin);
  const Evaluation evaluation = a.scoring.evaluate_folders(a.reference, a.predictions.front());
  write_report(evaluation, a.scoring.options(), a.report, origin, warnings_to_stderr());
  std::cout << text_table(evaluation, a.scoring.shown(evaluation));
}

}  // namespace

void declare_evaluate(CLI::App& command) {
  auto a = std::make_shared<Arguments>();
  command.add_option("-r,--reference", a->reference, "Reference labels: a file, or a folder of files")
      ->required();
  command
      .add_option(
          "-p,--prediction", a->predictions,
          "Predicted labels: a file, or a folder with files of the same names; several are repeated runs")
      ->required();
  command
      .add_option("-o,--output", a->report.path,
                  "Folder for the report, or a .json file for the summary alone")
      ->required();
  a->scoring.declare(command);
  a->shard.declare(command);
  command
      .add_option("--images", a->report.images,
                  "Folder of the images, for pictures of the worst and best cases")
      ->check(CLI::ExistingDirectory);
  command.add_option("--pictures", a->report.pictures, "How many worst and how many best cases to show");
  command.add_option("--strata-cm3", a->report.strata_cm3,
                     "Cuts of the reference volume in cm3, for example 10 50");
  command.add_option("--participants", a->report.participants,
                     "Table (.tsv, .csv) whose first column names the cases");
  command.add_option("--group-by", a->report.group_by, "Column of that table, for example site");
  command.callback([a] { run(*a); });
}

}  // namespace mambaseg
