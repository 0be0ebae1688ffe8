#include "cli/demo_training.h"

#include <chrono>
#include <cstdio>
#include <filesystem>

#include <torch/utils.h>

#include "cli/demo_brain.h"
#include "cli/demo_scores.h"
#include "cli/terminal.h"
#include "mambaseg/core/text.h"
#include "mambaseg/infer/two_stage.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/report/overlay.h"
#include "mambaseg/train/trainer.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

std::string table_of(const std::vector<DemoScore>& network, const std::vector<DemoScore>& mirror) {
  std::string table =
      "Right hemisphere, never seen in training (Dice and VS: 1 is best; ASSD in mm: 0 is best)\n\n"
      "                     MedSegMamba            labels of the left half, mirrored\n"
      "structure         Dice      VS    ASSD        Dice      VS    ASSD\n";
  char line[128];
  for (size_t i = 0; i < network.size(); ++i) {
    std::snprintf(line, sizeof line, "%-14s %7.3f %7.3f %7.2f     %7.3f %7.3f %7.2f\n",
                  network[i].structure.c_str(), network[i].dice, network[i].volume_similarity,
                  network[i].assd_mm, mirror[i].dice, mirror[i].volume_similarity, mirror[i].assd_mm);
    table += line;
  }
  return table +
         "\nThe mirrored labels are the trivial answer: a brain is nearly its own mirror image. One brain "
         "says nothing\n"
         "about others: this shows that training, prediction and scoring work, not how good a network is.\n";
}

std::vector<DemoScore> score_right(const Volume<int32_t>& reference, const Volume<int32_t>& prediction) {
  std::vector<std::pair<std::string, int32_t>> structures;
  for (const DemoStructure& s : demo_structures()) structures.emplace_back(s.name, s.aal_right);
  return demo_scores(reference, prediction, structures);
}

void write_training_half(const DemoBrain& brain, const std::string& dataset) {
  make_folder(dataset + "/images");
  make_folder(dataset + "/labels");
  write_volume(dataset + "/images/left_hemisphere.nii.gz", brain.left_image);
  write_labels(dataset + "/labels/left_hemisphere.nii.gz", brain.left_labels);
}

TrainResult train_on(const std::string& dataset, const std::string& run_folder, const TrainingDemo& options,
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

}  // namespace

void run_training_demo(const TrainingDemo& options) {
  const auto start = std::chrono::steady_clock::now();
  const torch::Device device = options.device;
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
  const std::vector<DemoScore> network_scores = score_right(brain.right_labels, predicted);
  const std::vector<DemoScore> mirror_scores = score_right(brain.right_labels, mirror);
  const std::string table = table_of(network_scores, mirror_scores);
  write_file_atomically(path("scores.txt"), table);
  const Json scores{{"medsegmamba", json_of(network_scores)},
                    {"mirrored_training_labels", json_of(mirror_scores)},
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

}  // namespace mambaseg
