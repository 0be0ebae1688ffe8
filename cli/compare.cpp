#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "cli/scoring.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/thread_count.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/metrics/metric.h"
#include "mambaseg/report/write_report.h"

namespace mambaseg {
namespace {

struct Arguments {
  std::string reference, output;
  std::vector<std::string> predictions, names;
  Scoring scoring;
  uint64_t seed = 0;
};

std::string command_line(const Arguments& a) {
  std::string line = "mambaseg compare";
  for (const std::string& prediction : a.predictions) line += " " + prediction;
  line += " -r " + a.reference + " -o " + a.output + a.scoring.as_typed();
  for (const std::string& name : a.names) line += " --name " + name;
  return line + concat(" --seed ", a.seed);
}

/// Words behind --metric and --name that are not taken for options come as predictions: a metric's name is a
/// metric, and after --name what is no file or folder is a name.
void sort_words(Arguments& a) {
  std::vector<std::string> predictions;
  for (const std::string& word : a.predictions) {
    const bool exists = std::filesystem::exists(word);
    const bool metric = word == "all" || std::any_of(metrics().begin(), metrics().end(),
                                                     [&](const Metric& one) { return one.name == word; });
    (exists                                 ? predictions
     : metric && !a.scoring.metrics.empty() ? a.scoring.metrics
     : !a.names.empty()                     ? a.names
                                            : predictions)
        .push_back(word);
  }
  a.predictions = std::move(predictions);
}

/// What the name of a method becomes as the name of a folder.
void check_reports(const Arguments& a, const std::vector<std::string>& names) {
  const std::filesystem::path path(a.output);
  std::vector<std::string> inputs{a.reference};
  inputs.insert(inputs.end(), a.predictions.begin(), a.predictions.end());
  if (!a.scoring.labels.empty()) inputs.push_back(a.scoring.labels);
  std::vector<Output> outputs;
  for (const std::string& name : names)
    for (const char* file : {"summary.json", "cases.csv"})
      outputs.push_back({(path / method_folder(name) / file).string(), "the scores of " + name});
  for (const char* file : {"comparison.json", "report.html"})
    outputs.push_back({(path / file).string(), "the report"});
  check_outputs(inputs, outputs);
}

/// Names given, or the last parts of the paths; whole paths when those do not tell the methods apart.
std::vector<std::string> names_of(const Arguments& a) {
  if (!a.names.empty()) {
    if (a.names.size() != a.predictions.size())
      throw UsageError(concat(a.predictions.size(), " sets of predictions, but ", a.names.size(), " names"));
    return a.names;
  }
  std::vector<std::string> names;
  for (const std::string& prediction : a.predictions) {
    const std::filesystem::path path(prediction);
    const std::string name = path.filename().empty() ? path.parent_path().filename() : path.filename();
    if (std::find(names.begin(), names.end(), name) != names.end()) return a.predictions;
    names.push_back(name);
  }
  return names;
}

void run(const Arguments& typed) {
  Arguments a = typed;
  sort_words(a);
  if (a.predictions.size() < 2) throw UsageError("compare needs at least two sets of predictions");
  const std::vector<std::string> names = names_of(a);
  check_reports(a, names);
  std::vector<Method> methods;
  for (size_t p = 0; p < names.size(); ++p)
    methods.push_back({names[p], a.scoring.evaluate_folders(a.reference, a.predictions[p])});
  const Comparison comparison = compare_methods(std::move(methods), thread_count(a.scoring.threads), a.seed);
  write_comparison(comparison, a.output, {command_line(a), MAMBASEG_VERSION});
  std::cout << comparison_table(comparison, a.scoring.shown(comparison.methods.front().evaluation));
}

}  // namespace

void declare_compare(CLI::App& command) {
  auto a = std::make_shared<Arguments>();
  command
      .add_option("predictions", a->predictions,
                  "Folders (or files) of predicted labels, one for each method")
      ->required();
  command.add_option("-r,--reference", a->reference, "Reference labels: a folder of files, or a file")
      ->required();
  command.add_option("-o,--output", a->output, "Folder for the report")->required();
  command
      .add_option("--name", a->names,
                  "Names of the methods, in the same order (default: names of the folders); once for each")
      ->allow_extra_args(false);
  command.add_option("--seed", a->seed, "Seed of the bootstrap");
  a->scoring.declare(command);
  command.get_option("--metric")->allow_extra_args(false);
  command.callback([a] { run(*a); });
}

}  // namespace mambaseg
