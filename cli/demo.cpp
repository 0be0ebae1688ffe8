#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <torch/utils.h>

#include "cli/commands.h"
#include "cli/demo_brain.h"
#include "cli/terminal.h"
#include "mambaseg/core/text.h"
#include "mambaseg/infer/two_stage.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/metrics/compare_labels.h"
#include "mambaseg/report/overlay.h"
#include "mambaseg/train/trainer.h"

namespace mambaseg {

namespace {

namespace fs = std::filesystem;

struct Options {
  std::string folder = "demo_output";
  std::string templates = "/usr/share/mricron/templates";
  std::vector<std::string> assignments;
  Machine machine;
};

struct Score {
  double dice = 0, volume_similarity = 0, assd_mm = 0;
};

double value_or(const std::optional<double>& value, double otherwise) { return value ? *value : otherwise; }

/// Scores of the demo's structures (numbers of the right side) and, last, their means.
std::vector<Score> score_all(const Volume<int32_t>& reference, const Volume<int32_t>& prediction,
                             int threads) {
  ScoreOptions options;
  for (const char* name : {"Dice", "VS", "ASSD"}) options.metrics.push_back(&metric_by_name(name));
  options.threads = threads;
  std::vector<int32_t> labels;
  for (const DemoStructure& s : demo_structures()) labels.push_back(s.right_id);
  std::vector<Score> scores;
  Score mean;
  for (const LabelScores& label : compare_labels(reference, prediction, labels, options)) {
    const Score score{value_or(label.values[0], 0), value_or(label.values[1], 0),
                      value_or(label.values[2], 0)};
    mean.dice += score.dice / double(labels.size());
    mean.volume_similarity += score.volume_similarity / double(labels.size());
    mean.assd_mm += score.assd_mm / double(labels.size());
    scores.push_back(score);
  }
  scores.push_back(mean);
  return scores;
}

std::string table_of(const std::vector<Score>& network, const std::vector<Score>& mirror) {
  std::string table =
      "Right hemisphere, never seen in training (Dice and VS: 1 is best; ASSD in mm: 0 is best)\n\n"
      "                     MedSegMamba            labels of the left half, mirrored\n"
      "structure         Dice      VS    ASSD        Dice      VS    ASSD\n";
  char line[128];
  for (size_t i = 0; i < network.size(); ++i) {
    const char* name = i < demo_structures().size() ? demo_structures()[i].name : "mean";
    std::snprintf(line, sizeof line, "%-14s %7.3f %7.3f %7.2f     %7.3f %7.3f %7.2f\n", name, network[i].dice,
                  network[i].volume_similarity, network[i].assd_mm, mirror[i].dice,
                  mirror[i].volume_similarity, mirror[i].assd_mm);
    table += line;
  }
  return table +
         "\nThe mirrored labels are the trivial answer: a brain is nearly its own mirror image. One brain "
         "says nothing\n"
         "about others: this shows that training, prediction and scoring work, not how good a network is.\n";
}

Json scores_json(const std::vector<Score>& scores) {
  Json out = Json::object();
  for (size_t i = 0; i < scores.size(); ++i)
    out[i < demo_structures().size() ? demo_structures()[i].name : "mean"] = {
        {"Dice", scores[i].dice}, {"VS", scores[i].volume_similarity}, {"ASSD", scores[i].assd_mm}};
  return out;
}

void write_training_half(const DemoBrain& brain, const std::string& dataset) {
  make_folder(dataset + "/images");
  make_folder(dataset + "/labels");
  write_volume(dataset + "/images/left_hemisphere.nii.gz", brain.left_image);
  write_labels(dataset + "/labels/left_hemisphere.nii.gz", brain.left_labels);
}

TrainResult train_on(const std::string& dataset, const std::string& run_folder, const Options& options,
                     torch::Device device) {
  Recipe recipe = read_recipe("demo");
  set_in_recipe(recipe, options.assignments);
  remove_run(run_folder);  // the demo always starts anew
  TrainOptions train_options;
  train_options.settings = run_settings(recipe);
  train_options.settings.data.dataset.folder = dataset;
  train_options.folder = run_folder;
  train_options.device = device;
  train_options.threads = torch::get_num_threads();
  train_options.version = MAMBASEG_VERSION;
  train_options.progress = progress_bar();
  train_options.warn = warnings_to_stderr();
  train_options.on_line = [](const Json& line) {
    if (line["event"] == "epoch")
      std::fprintf(stderr, "epoch %2d  loss %.4f  %s\n", line["epoch"].get<int>() + 1,
                   line["loss"].get<double>(), readable_duration(line["seconds"].get<double>()).c_str());
  };
  return train(train_options);
}

Volume<int32_t> segment_right_half(const std::string& model, const std::string& image_path,
                                   torch::Device device) {
  PredictorSettings settings;
  settings.device = device;
  settings.batch = 4;  // small patches: several at once keep LibTorch on its fast convolutions
  TwoStage stages(Predictor::load({model}, settings), std::nullopt);
  Volume<int32_t> labels =
      stages
          .run({read_image(image_path)}, progress_bar(), warnings_to_stderr(),
               [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); })
          .first;
  rename_to_right_side(labels);
  return labels;
}

void run(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const torch::Device device = options.machine.start();
  make_folder(options.folder);
  const auto path = [&](const char* name) { return options.folder + "/" + name; };

  std::fprintf(stderr, "1/3  Training a small MedSegMamba on the left hemisphere of Colin27\n");
  const DemoBrain brain = read_demo_brain(options.templates);
  write_training_half(brain, path("dataset"));
  write_volume(path("right_hemisphere.nii.gz"), brain.right_image);
  const auto training_start = std::chrono::steady_clock::now();
  const TrainResult trained = train_on(path("dataset"), path("run"), options, device);
  const double training_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - training_start).count();

  std::fprintf(stderr, "2/3  Segmenting the right hemisphere\n");
  const Volume<int32_t> predicted =
      segment_right_half(trained.best_path, path("right_hemisphere.nii.gz"), device);
  write_labels(path("segmentation.nii.gz"), predicted);

  std::fprintf(stderr, "3/3  Scoring and drawing\n");
  const Volume<int32_t> mirror = mirrored_to_the_right(brain.left_labels);
  const std::vector<Score> network_scores =
      score_all(brain.right_labels, predicted, torch::get_num_threads());
  const std::vector<Score> mirror_scores = score_all(brain.right_labels, mirror, torch::get_num_threads());
  const std::string table = table_of(network_scores, mirror_scores);
  write_file_atomically(path("scores.txt"), table);
  const Json scores{{"medsegmamba", scores_json(network_scores)},
                    {"mirrored_training_labels", scores_json(mirror_scores)},
                    {"training_s", training_s}};
  write_file_atomically(path("scores.json"), scores.dump(2) + "\n");
  const std::vector<OverlayRow> rows{{"MEDSEGMAMBA", &predicted}, {"ATLAS (AAL)", &brain.right_labels}};
  write_three_planes(path("overlay.png"), brain.image, rows, fullest_slices(brain.right_labels));

  std::printf(
      "%s\nTraining took %s, everything %s. Written to %s/:\n"
      "  segmentation.nii.gz   the labels, on the grid of the input\n"
      "  overlay.png           them and the atlas over the brain, in three planes\n"
      "  scores.txt, scores.json\n"
      "  run/best.safetensors  the model: mambaseg predict -m %s -i IMAGE -o LABELS\n",
      table.c_str(), readable_duration(training_s).c_str(),
      readable_duration(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count())
          .c_str(),
      options.folder.c_str(), trained.best_path.c_str());
}

}  // namespace

void declare_demo(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("-o,--output", options->folder, "Folder for the results")->capture_default_str();
  command
      .add_option("--templates", options->templates,
                  "Folder with ch2bet.nii.gz and aal.nii.gz (package mricron-data)")
      ->capture_default_str();
  declare_assignments(command, options->assignments, "Change a setting of the recipe demo");
  options->machine.declare(command);
  command.footer(
      "Trains a small MedSegMamba on one hemisphere of one brain in minutes, segments the other hemisphere, "
      "which it\n"
      "has never seen, and scores it beside the trivial answer (the training labels mirrored).");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
