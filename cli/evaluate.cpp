#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/report/summary.h"

namespace mambaseg {
namespace {

struct Arguments {
  std::string reference, prediction, report, labels;
  std::vector<std::string> metrics;
  double tolerance_mm = 1;
  int32_t threshold = -1;
  int threads = 0;
  bool allow_missing = false;
};

/// The command as typed, for the report.
std::string command_line(const Arguments& a) {
  std::string line = concat("mambaseg evaluate -r ", a.reference, " -p ", a.prediction, " -o ", a.report);
  if (!a.labels.empty()) line += " --labels " + a.labels;
  for (const std::string& name : a.metrics) line += " --metric " + name;
  if (a.tolerance_mm != 1) line += concat(" --tolerance-mm ", a.tolerance_mm);
  if (a.threshold >= 0) line += concat(" --threshold ", a.threshold);
  if (a.allow_missing) line += " --allow-missing";
  return line;
}

void write_summary(const std::string& report, const Evaluation& evaluation, const Origin& origin) {
  namespace fs = std::filesystem;
  std::string path = report;
  if (fs::path(report).extension() != ".json") {
    std::error_code code;
    fs::create_directories(report, code);
    require(!code, report, ": cannot be made: ", code.message());
    path = (fs::path(report) / "summary.json").string();
  }
  write_file_atomically(path, summary_json(evaluation, origin).dump(2) + "\n");
}

void run(const Arguments& a) {
  const Pairing pairing = pair_cases(a.reference, a.prediction);
  const Warn warn = warnings_to_stderr();
  require(pairing.missing.empty() || a.allow_missing, pairing.missing.size(), " of ",
          pairing.missing.size() + pairing.pairs.size(),
          " references have no prediction: ", name_list(pairing.missing),
          " (--allow-missing scores the others)");
  if (!pairing.missing.empty()) warn(concat("references without prediction: ", name_list(pairing.missing)));
  if (!pairing.extra.empty()) warn(concat("predictions without reference: ", name_list(pairing.extra)));
  EvaluationOptions options;
  if (!a.labels.empty()) options.labels = read_label_table(a.labels);
  options.metrics = a.metrics;
  options.tolerance_mm = a.tolerance_mm;
  if (a.threshold >= 0) options.threshold = a.threshold;
  options.threads = a.threads > 0 ? a.threads : std::max(1, int(std::thread::hardware_concurrency()));
  const Evaluation evaluation = evaluate(pairing, options, progress_bar(), warn);
  write_summary(a.report, evaluation, {command_line(a), MAMBASEG_VERSION});
  std::cout << text_table(evaluation,
                          a.metrics.empty() ? std::vector<std::string>{"Dice", "VS", "ASSD"} : a.metrics);
}

}  // namespace

void declare_evaluate(CLI::App& command) {
  auto a = std::make_shared<Arguments>();
  command.add_option("-r,--reference", a->reference, "Reference labels: a file, or a folder of files")
      ->required();
  command
      .add_option("-p,--prediction", a->prediction,
                  "Predicted labels: a file, or a folder with files of the same names")
      ->required();
  command
      .add_option("-o,--output", a->report, "Folder for the report, or a .json file for the summary alone")
      ->required();
  command.add_option(
      "--labels", a->labels,
      "Names of the labels, and which to score: .csv or .txt with number and name, dataset.json, a recipe");
  command.add_option("--metric", a->metrics,
                     "Metric to compute and show; may be given several times (default: all)");
  command.add_option("--tolerance-mm", a->tolerance_mm, "Tolerance of the normalised surface Dice, mm")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--threshold", a->threshold,
                  "Voxels above this value are the one label (masks stored as 0 and 255)")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--threads", a->threads, "Threads to use; 0 means all cores")
      ->check(CLI::NonNegativeNumber);
  command.add_flag("--allow-missing", a->allow_missing,
                   "Score what is there when references have no prediction");
  command.callback([a] { run(*a); });
}

}  // namespace mambaseg
