#include "mambaseg/train/study.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "mambaseg/core/clock.h"
#include "mambaseg/core/memory.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/html.h"
#include "mambaseg/report/label_table.h"
#include "mambaseg/report/page.h"
#include "mambaseg/report/write_report.h"
#include "mambaseg/train/curves.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

std::vector<Variant> rows_of(const StudySettings& settings) {
  std::vector<Variant> rows;
  for (const std::string& name : settings.networks) rows.push_back({name, {{"name", name}}, {}});
  rows.insert(rows.end(), settings.variants.begin(), settings.variants.end());
  std::set<std::string> names;
  for (const Variant& row : rows)
    if (row.name.empty() || row.name.find('/') != std::string::npos || row.name.front() == '.' ||
        !names.insert(row.name).second)
      throw UsageError(
          concat("variants: expected a name of its own for each, which becomes that of a folder, got \"",
                 row.name, "\""));
  if (rows.empty()) throw UsageError("networks, variants: expected at least one");
  return rows;
}

RunSettings settings_of(const StudyOptions& options, const Variant& variant) {
  return with_context("variant " + variant.name, [&] {
    Recipe recipe = options.recipe;
    set_in_recipe(recipe, variant.set);
    RunSettings settings = run_settings(recipe);
    if (!variant.network.empty()) settings.network = variant.network;
    if (settings.data.cache.empty()) settings.data.cache = (fs::path(options.folder) / "cache").string();
    return settings;
  });
}

/// Seconds of an epoch of training, found by the beginning of one in a folder that is removed again.
double trial(TrainOptions options) {
  constexpr double kEnoughSeconds = 20;
  struct Enough {};
  std::error_code failed;
  fs::remove_all(options.folder, failed);
  double seconds = 0;
  Clock::time_point first_time;
  int64_t first_done = 0;
  const Progress progress = options.progress;
  options.progress = [&](const std::string& what, int64_t done, int64_t total) {
    if (progress) progress(what, done, total);
    if (!what.starts_with("epoch")) return;
    if (first_done == 0) {
      first_done = done;
      first_time = Clock::now();
    } else if (const double spent = seconds_since(first_time); spent > kEnoughSeconds) {
      seconds = spent * static_cast<double>(total) / static_cast<double>(done - first_done);
      throw Enough();
    }
  };
  options.on_line = [&](const Json& line) {
    if (line["event"] != "epoch") return;
    seconds = line["seconds"];
    throw Enough();
  };
  try {
    train(options);
  } catch (const Enough&) {
  }
  fs::remove_all(options.folder, failed);
  return seconds;
}

/// The same course in another number of epochs.
void stretch(RunSettings& settings, int64_t epochs) {
  const double factor = static_cast<double>(epochs) / static_cast<double>(settings.training.epochs);
  const auto stretched = [&](int64_t count) {
    return std::max<int64_t>(1, std::llround(static_cast<double>(count) * factor));
  };
  settings.training.validate_every = stretched(settings.training.validate_every);
  settings.schedule.first_period *= factor;
  settings.schedule.warmup *= factor;
  settings.training.epochs = epochs;
}

/// How many epochs the budget allows; found once for a run and kept beside it.
int64_t epochs_within(const StudyBudget& budget, const TrainOptions& options) {
  const int64_t wanted = budget.epochs > 0 ? budget.epochs : options.settings.training.epochs;
  if (budget.seconds == 0) return wanted;
  const std::string path = options.folder + ".budget.json";
  if (fs::exists(path)) return read_json(path).at("epochs");
  TrainOptions trying = options;
  trying.folder = options.folder + ".trial";
  const double seconds = trial(trying);
  auto epochs = std::max<int64_t>(1, static_cast<int64_t>(budget.seconds / std::max(seconds, 1e-3)));
  if (budget.epochs > 0) epochs = std::min(epochs, budget.epochs);
  write_file_atomically(path, Json{{"epochs", epochs}, {"seconds_of_an_epoch", seconds}}.dump(2) + "\n");
  return epochs;
}

/// Predictions of the cases that are not older than the model; those that are missing are made. Returns the
/// pairs to score, and seconds a case, of those that were predicted last.
std::pair<Pairing, double> predicted(const std::vector<Case>& cases, const std::string& model,
                                     const fs::path& folder, const Task& task, const TrainOptions& options) {
  PredictRequest request;
  request.models = {model};
  request.output = folder.string();
  request.device = options.device;
  Pairing pairing;
  for (const Case& one : cases) {
    const std::string path = (folder / (one.id + task.label_ending())).string();
    pairing.pairs.push_back({one.id, one.labels, path, one.images.front()});
    if (!fs::exists(path) || fs::last_write_time(path) < fs::last_write_time(model))
      request.cases.push_back(one);
  }
  const std::string timed = folder.string() + ".json";
  if (request.cases.empty())
    return {pairing, fs::exists(timed) ? read_json(timed).value("seconds_of_a_case", 0.0) : 0};
  make_folder(request.output);
  const auto start = Clock::now();
  task.predict_files(request, {options.progress, options.warn, [](const std::string&) {}});
  const double seconds = seconds_since(start) / static_cast<double>(request.cases.size());
  write_file_atomically(timed, Json{{"seconds_of_a_case", seconds}}.dump(2) + "\n");
  return {pairing, seconds};
}

/// What the journal says of a run.
void read_journal(StudyRun& run) {
  for (const Json& line : read_epoch_lines((fs::path(run.folder) / "journal.jsonl").string())) {
    ++run.epochs;
    run.best_epoch = line.value("best_epoch", int64_t{0}) + 1;
    run.patches_per_s = std::max(run.patches_per_s, line.value("patches_per_s", 0.0));
    run.peak_memory_mib = std::max(run.peak_memory_mib, line.value("peak_memory_mib", 0.0));
  }
}

/// Trains, predicts and scores; `run` has repeat, name and folder.
void complete(StudyRun& run, const StudyOptions& options, const RunSettings& settings) {
  TrainOptions train_options = options.train;
  train_options.settings = settings;
  train_options.folder = run.folder;
  stretch(train_options.settings, epochs_within(options.settings.budget, train_options));
  train_options.resume = fs::exists(fs::path(run.folder) / "recipe.toml");
  forget_peak_memory();
  const std::string model = train(train_options).best_path;
  read_journal(run);
  const Split split = split_cases(read_dataset(settings.data.dataset), settings.data.split);
  const auto& cases = split.test.empty() ? split.validation : split.test;
  require(!cases.empty(), "study: the split leaves no case to score");
  const auto [pairing, prediction_s] =
      predicted(cases, model, fs::path(run.folder) / "predictions", *settings.task, train_options);
  run.prediction_s = prediction_s;
  EvaluationOptions scoring;
  scoring.labels = read_label_table(model);
  scoring.metrics = options.settings.metrics;
  scoring.threads = train_options.threads;
  run.evaluation = evaluate(pairing, scoring, options.train.progress, options.train.warn);
  ReportOptions report;
  report.path = (fs::path(run.folder) / "report").string();
  write_report(run.evaluation, scoring, report, {options.command, train_options.version}, options.train.warn);
}

StudyRow run_row(const StudyOptions& options, const Variant& variant) {
  StudyRow row;
  row.name = variant.name;
  try {
    RunSettings settings = settings_of(options, variant);
    const RunSettings ready = resolved(settings);
    const NetworkCost cost = cost_of(ready.network, ready.task->input_edges());
    row.parameters = cost.parameters;
    row.operations = cost.operations;
    std::vector<int64_t> seeds = options.settings.seeds;
    const bool named = !seeds.empty();
    if (!named) seeds = {static_cast<int64_t>(settings.training.seed)};
    for (int64_t repeat = 0; repeat < options.settings.repeats; ++repeat)
      for (const int64_t seed : seeds) {
        settings.data.split.repeat = repeat;
        settings.training.seed = static_cast<uint64_t>(seed);
        StudyRun run;
        run.repeat = repeat;
        run.name = concat("repeat_", repeat, named ? concat("_seed_", seed) : "");
        run.folder = (fs::path(options.folder) / row.name / run.name).string();
        complete(run, options, settings);
        row.runs.push_back(std::move(run));
      }
  } catch (const std::exception& error) {
    row.problem = error.what();
    if (options.train.warn) options.train.warn(concat(row.name, ": ", row.problem));
  }
  return row;
}

/// The mean of each score over `scores`, which are of one case.
LabelScores averaged(const std::vector<const LabelScores*>& scores) {
  LabelScores out = *scores.front();
  for (size_t m = 0; m < out.values.size(); ++m) {
    double sum = 0;
    int64_t count = 0;
    for (const LabelScores* one : scores)
      if (one->values[m]) sum += *one->values[m], ++count;
    out.values[m] = count > 0 ? std::optional(sum / static_cast<double>(count)) : std::nullopt;
  }
  return out;
}

void write_study(const StudyOptions& options, const std::vector<StudyRow>& rows) {
  const auto& metrics = options.settings.metrics;
  const fs::path folder(options.folder);
  make_folder(folder.string());
  write_file_atomically((folder / "study.json").string(), study_json(rows, metrics).dump(2) + "\n");
  const Origin origin{options.command, options.train.version};
  const std::string lead = study_page_lead(rows, metrics, run_settings(options.recipe).task->samples());
  std::vector<Method> methods;
  for (const StudyRow& row : rows)
    if (row.problem.empty()) methods.push_back(method_of(row));
  if (methods.size() >= 2)
    write_comparison(compare_methods(std::move(methods), options.train.threads), options.folder, origin,
                     {"Comparison of trainings", lead});
  else
    write_file_atomically((folder / "report.html").string(), html_page("Comparison of trainings", lead));
}

}  // namespace

StudySettings read_study(const std::string& path) {
  return with_context(path, [&] { return from_json<StudySettings>(read_toml(path)); });
}

Recipe recipe_of(const StudySettings& settings, const std::string& table) {
  Recipe recipe = read_recipe(settings.recipe, fs::path(table).parent_path().string());
  set_in_recipe(recipe, settings.set);
  return recipe;
}

std::vector<std::pair<std::string, RunSettings>> study_rows(const StudyOptions& options) {
  std::vector<std::pair<std::string, RunSettings>> rows;
  for (const Variant& variant : rows_of(options.settings))
    rows.emplace_back(variant.name, resolved(settings_of(options, variant)));
  return rows;
}

std::vector<StudyRow> run_study(const StudyOptions& options) {
  study_rows(options);  // before hours pass
  const std::vector<Variant> variants = rows_of(options.settings);
  std::vector<StudyRow> rows;
  for (const Variant& variant : variants) {
    rows.push_back(run_row(options, variant));
    write_study(options, rows);
  }
  return rows;
}

Method method_of(const StudyRow& row) {
  Method method{row.name, row.runs.front().evaluation};
  Evaluation& all = method.evaluation;
  all.cases.clear();
  std::map<std::pair<int64_t, std::string>, std::vector<const CaseScores*>> by_case;  // split, case
  for (const StudyRun& run : row.runs)
    for (const CaseScores& one : run.evaluation.cases) by_case[{run.repeat, one.files.name}].push_back(&one);
  const bool several_splits = row.runs.back().repeat > 0;
  for (const auto& [split_and_case, scores] : by_case) {
    CaseScores one = *scores.front();
    if (several_splits) one.files.name = concat("split ", split_and_case.first, ": ", split_and_case.second);
    for (size_t l = 0; l < one.labels.size(); ++l) {
      std::vector<const LabelScores*> of_label;
      for (const CaseScores* score : scores) of_label.push_back(&score->labels[l]);
      one.labels[l] = averaged(of_label);
    }
    all.cases.push_back(std::move(one));
  }
  return method;
}

}  // namespace mambaseg
