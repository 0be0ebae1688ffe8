#include <filesystem>
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "cli/scoring.h"
#include "mambaseg/core/error.h"
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

void run(const Arguments& a) {
  if (a.predictions.size() < 2) throw UsageError("compare needs at least two sets of predictions");
  const std::vector<std::string> names = names_of(a);
  std::vector<Method> methods;
  for (size_t p = 0; p < names.size(); ++p)
    methods.push_back({names[p], a.scoring.evaluate_folders(a.reference, a.predictions[p])});
  const Comparison comparison = compare_methods(std::move(methods), a.scoring.thread_count(), a.seed);
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
  command.add_option("--name", a->names,
                     "Names of the methods, in the same order (default: names of the folders)");
  command.add_option("--seed", a->seed, "Seed of the bootstrap");
  a->scoring.declare(command);
  command.callback([a] { run(*a); });
}

}  // namespace mambaseg
