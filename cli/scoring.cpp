#include "cli/scoring.h"

#include "cli/terminal.h"
#include "mambaseg/core/error.h"
#include "mambaseg/core/thread_count.h"
#include "mambaseg/session/scoring.h"

namespace mambaseg {

void Scoring::declare(CLI::App& command) {
  command.add_option("--labels", labels,
                     "Names of the labels, and which to score: .csv or .txt with number and name, "
                     "dataset.json, a recipe, a model");
  command.add_option("--metric", metrics,
                     "Metrics to compute and show, for example Dice HD95; all computes every variant");
  command.add_option("--tolerance-mm", tolerance_mm, "Tolerance of the normalised surface Dice, mm")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--connectivity", connectivity, "Neighbours that make voxels one lesion: 6, 18 or 26")
      ->check(CLI::IsMember({"6", "18", "26"}));
  command
      .add_option("--threshold", threshold,
                  "Values above this are the one label, in masks stored as 0 and 255 (pictures: 127)")
      ->check(CLI::NonNegativeNumber);
  command.add_flag("--resample", resample,
                   "Bring predictions on another grid to that of the reference (nearest voxel)");
  command.add_flag("--allow-missing", allow_missing,
                   "Score what is there when references have no prediction");
  command.add_option("--threads", threads, "Threads to use; 0 means all cores")
      ->check(CLI::NonNegativeNumber);
}

EvaluationOptions Scoring::options() const {
  EvaluationOptions out;
  if (!labels.empty()) out.labels = read_label_table(labels);
  for (const Metric* metric : metrics_named(metrics)) out.metrics.push_back(metric->name);
  out.tolerance_mm = tolerance_mm;
  if (threshold >= 0) out.threshold = threshold;
  out.connectivity = connectivity == "6"    ? Connectivity::faces
                     : connectivity == "18" ? Connectivity::edges
                                            : Connectivity::corners;
  out.resample = resample;
  out.threads = thread_count(threads);
  return out;
}

std::vector<std::string> Scoring::shown(const Evaluation& evaluation) const {
  if (!metrics.empty() && metrics != std::vector<std::string>{"all"}) return metrics;
  if (evaluation.pictures) return {"IoU", "Dice", "HD95", "precision"};
  return {"Dice", "VS", "ASSD", "HD95", "NSD"};
}

Pairing Scoring::paired(const std::string& reference, const std::string& prediction) const {
  const Pairing pairing = pair_cases(reference, prediction);
  const Warn warn = warnings_to_stderr();
  require(pairing.missing.empty() || allow_missing, pairing.missing.size(), " of ",
          pairing.missing.size() + pairing.pairs.size(), " references have no prediction in ", prediction,
          ": ", name_list(pairing.missing), " (--allow-missing scores the others)");
  if (!pairing.missing.empty()) warn(concat("references without prediction: ", name_list(pairing.missing)));
  if (!pairing.extra.empty()) warn(concat("predictions without reference: ", name_list(pairing.extra)));
  return pairing;
}

Evaluation Scoring::evaluate_folders(const std::string& reference, const std::string& prediction) const {
  return evaluate(paired(reference, prediction), options(), progress_bar(), warnings_to_stderr());
}

std::string Scoring::as_typed() const {
  std::string line;
  if (!labels.empty()) line += " --labels " + labels;
  for (const std::string& name : metrics) line += " --metric " + name;
  if (tolerance_mm != 1) line += concat(" --tolerance-mm ", tolerance_mm);
  if (connectivity != "26") line += " --connectivity " + connectivity;
  if (threshold >= 0) line += concat(" --threshold ", threshold);
  if (resample) line += " --resample";
  if (allow_missing) line += " --allow-missing";
  return line;
}

}  // namespace mambaseg
