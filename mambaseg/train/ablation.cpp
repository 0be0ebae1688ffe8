#include "mambaseg/train/ablation.h"

#include <cmath>
#include <filesystem>
#include <set>

#include "mambaseg/infer/two_stage.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/label_table.h"
#include "mambaseg/report/page_parts.h"
#include "mambaseg/report/text_table.h"
#include "mambaseg/stats/describe.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

RunSettings settings_of(const AblationOptions& options, const Variant& variant, int64_t repeat) {
  return with_context("variant " + variant.name, [&] {
    Recipe recipe = options.recipe;
    set_in_recipe(recipe, variant.set);
    RunSettings settings = run_settings(recipe);
    settings.data.split.repeat = repeat;
    return settings;
  });
}

/// Predicts the cases that have no labels yet; the pairs of references and predictions.
Pairing predicted(const std::vector<Case>& cases, const std::string& model, const fs::path& folder,
                  const TrainOptions& options) {
  PredictorSettings settings;
  settings.device = options.device;
  TwoStage stages(Predictor::load({model}, settings), std::nullopt);
  make_folder(folder.string());
  Pairing pairing;
  for (const Case& one : cases) {
    const std::string path = (folder / (one.id + ".nii.gz")).string();
    if (!fs::exists(path)) {
      std::vector<Image> channels;
      for (const std::string& image : one.images) channels.push_back(read_image(image, options.warn));
      write_labels(path, stages.run(std::move(channels), options.progress, options.warn).first);
    }
    pairing.pairs.push_back({one.id, one.labels, path});
  }
  return pairing;
}

Evaluation run_once(const AblationOptions& options, const Variant& variant, int64_t repeat) {
  TrainOptions train_options = options.train;
  train_options.settings = settings_of(options, variant, repeat);
  const fs::path folder = fs::path(options.folder) / variant.name / concat("repeat_", repeat);
  train_options.folder = folder.string();
  train_options.resume = fs::exists(folder / "recipe.toml");
  const std::string model = train(train_options).best_path;
  const RunData& data = train_options.settings.data;
  const Split split = split_cases(read_dataset(data.dataset), data.split);
  const auto& cases = split.test.empty() ? split.validation : split.test;
  require(!cases.empty(), "ablation: the split leaves no case to score");
  EvaluationOptions scoring;
  scoring.labels = read_label_table(model);
  scoring.metrics = options.settings.metrics;
  scoring.threads = train_options.threads;
  return evaluate(predicted(cases, model, folder / "predictions", train_options), scoring,
                  options.train.progress, options.train.warn);
}

/// The foreground mean of one repeat, NaN when no case has a value.
double foreground_mean(const Method& repeat, const std::string& metric) {
  const auto position = metric_position(repeat.evaluation, metric);
  return position ? repeat.evaluation.over_labels(*position).mean : std::nan("");
}

Description over_repeats(const AblationRow& row, const std::string& metric) {
  std::vector<double> means;
  for (const Method& repeat : row.repeats)
    if (const double mean = foreground_mean(repeat, metric); std::isfinite(mean)) means.push_back(mean);
  return describe(means);
}

}  // namespace

std::vector<AblationRow> run_ablation(const AblationOptions& options) {
  std::set<std::string> names;
  for (const Variant& variant : options.settings.variants)
    if (variant.name.empty() || variant.name.find('/') != std::string::npos || variant.name.front() == '.' ||
        !names.insert(variant.name).second)
      throw UsageError(
          concat("variants: expected a name of its own for each, which becomes that of a folder, got \"",
                 variant.name, "\""));
  if (names.empty()) throw UsageError("variants: expected at least one");
  for (const Variant& variant : options.settings.variants)
    settings_of(options, variant, 0);  // before hours pass
  std::vector<AblationRow> rows;
  for (const Variant& variant : options.settings.variants) {
    AblationRow row{variant.name, 0, {}};
    const RunSettings settings = resolved(settings_of(options, variant, 0));
    row.parameters = parameter_count(*make_network(settings.network));
    for (int64_t repeat = 0; repeat < options.settings.repeats; ++repeat)
      row.repeats.push_back({concat(variant.name, " ", repeat), run_once(options, variant, repeat)});
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string ablation_table(const std::vector<AblationRow>& rows, const std::vector<std::string>& metrics) {
  std::vector<std::vector<std::string>> cells{{"variant", "parameters", "splits"}};
  cells[0].insert(cells[0].end(), metrics.begin(), metrics.end());
  for (const AblationRow& row : rows) {
    cells.push_back({row.name, std::to_string(row.parameters), std::to_string(row.repeats.size())});
    for (const std::string& metric : metrics) {
      const Description d = over_repeats(row, metric);
      cells.back().push_back(short_number(d.mean, 4) +
                             (std::isfinite(d.sd) ? " ± " + short_number(d.sd, 2) : ""));
    }
  }
  return aligned_table(cells);
}

Json ablation_json(const std::vector<AblationRow>& rows, const std::vector<std::string>& metrics) {
  const auto number = [](double value) { return std::isfinite(value) ? Json(value) : Json(); };
  Json out = Json::array();
  for (const AblationRow& row : rows) {
    Json line = {{"variant", row.name}, {"parameters", row.parameters}, {"splits", row.repeats.size()}};
    for (const std::string& metric : metrics) {
      const Description d = over_repeats(row, metric);
      Json values = Json::array();
      for (const Method& repeat : row.repeats) values.push_back(number(foreground_mean(repeat, metric)));
      line[metric] = {{"mean", number(d.mean)}, {"sd", number(d.sd)}, {"values", values}};
    }
    out.push_back(line);
  }
  return out;
}

}  // namespace mambaseg
