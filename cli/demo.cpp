#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/demo_brain.h"
#include "cli/demo_scores.h"
#include "cli/demo_training.h"
#include "cli/machine.h"
#include "cli/terminal.h"
#include "mambaseg/core/text.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/image.h"
#include "mambaseg/report/overlay.h"
#include "mambaseg/segment/segment.h"
#include "mambaseg/session/installation.h"

namespace mambaseg {
namespace {

struct Options {
  std::string folder = "demo_output";
  std::string templates = MAMBASEG_TEMPLATES;
  bool train = false;
  std::vector<std::string> assignments;
  Machine machine;
};

std::string table_of(const std::vector<DemoScore>& scores) {
  std::string table =
      "Colin27 beside its AAL atlas (Dice and VS: 1 is best; ASSD in mm: 0 is best)\n\n"
      "structure              Dice      VS    ASSD\n";
  char line[80];
  for (const DemoScore& one : scores) {
    std::snprintf(line, sizeof line, "%-19s %7.3f %7.3f %7.2f\n", one.structure.c_str(), one.dice,
                  one.volume_similarity, one.assd_mm);
    table += line;
  }
  return table +
         "\nThe atlas was drawn by another protocol than the model has learned (its hippocampus, amygdala "
         "and "
         "thalamus\n"
         "have other borders), and one brain says nothing about others: the model's card has real scores.\n";
}

/// Segments Colin27, head and all, with the model in the box, and scores it beside the AAL atlas.
void run_segmenting_demo(const Options& options, torch::Device device) {
  const auto start = std::chrono::steady_clock::now();
  const auto path = [&](const char* name) { return options.folder + "/" + name; };
  const DemoHead head = read_demo_head(options.templates);
  SegmentRequest request;
  request.inputs = {head.path};
  request.output = options.folder;
  request.model_folders = model_folders();
  request.overwrite = true;
  request.device = device;
  request.version = MAMBASEG_VERSION;
  const Warn note = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  segment_images(request, {progress_bar(), warnings_to_stderr(), note});

  const Volume<int32_t> labels = read_labels(path("ch2.nii.gz"));
  std::vector<std::pair<std::string, int32_t>> structures;
  for (const DemoStructure& s : demo_structures()) {
    structures.emplace_back(std::string("left ") + s.name, s.freesurfer_left);
    structures.emplace_back(std::string("right ") + s.name, s.freesurfer_right);
  }
  const std::vector<DemoScore> scores = demo_scores(head.atlas, labels, structures);
  const std::string table = table_of(scores);
  write_file_atomically(path("scores.txt"), table);
  write_file_atomically(path("scores.json"), json_of(scores).dump(2) + "\n");
  OverlayStyle style;
  for (const auto& [name, number] : structures) style.labels.push_back(number);
  std::sort(style.labels.begin(), style.labels.end());
  const std::vector<OverlayRow> rows{{"MEDSEGMAMBA", &labels}, {"ATLAS (AAL)", &head.atlas}};
  write_three_planes(path("comparison.png"), head.image, rows, fullest_slices(head.atlas), style);
  std::printf(
      "%s\nEverything took %s. Written to %s/:\n"
      "  index.html      the page to look at first\n"
      "  ch2.nii.gz      the labels, FreeSurfer's numbers, on the grid of the input\n"
      "  volumes.tsv, ch2.aseg.stats, ch2.json\n"
      "  comparison.png  labels and atlas over the brain; scores.txt, scores.json\n"
      "Your own image: mambaseg segment T1.nii.gz\n",
      table.c_str(),
      readable_duration(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count())
          .c_str(),
      options.folder.c_str());
}

void run(const Options& options) {
  const torch::Device device = options.machine.start();
  std::filesystem::create_directories(options.folder);
  if (options.train)
    run_training_demo({options.folder, options.templates, options.assignments, device});
  else if (!options.assignments.empty())
    throw UsageError("--set: changes the recipe that is trained; give --train as well");
  else
    run_segmenting_demo(options, device);
}

}  // namespace

void declare_demo(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("-o,--output", options->folder, "Folder for the results")->capture_default_str();
  command
      .add_option("--templates", options->templates,
                  "Folder with ch2.nii.gz, ch2bet.nii.gz and aal.nii.gz (package mricron-data)")
      ->capture_default_str();
  command.add_flag("--train", options->train,
                   "Train instead: a small MedSegMamba on one hemisphere, to segment the other, in minutes");
  declare_assignments(command, options->assignments, "With --train: change a setting of the recipe demo");
  options->machine.declare(command);
  command.footer(
      "Segments Colin27, a head that the model has never seen, with the model in the box, scores it beside "
      "the "
      "AAL atlas\n"
      "and writes pages to look at. With --train a small MedSegMamba learns one hemisphere of one brain, "
      "segments the other\n"
      "one, which it has never seen, and is scored beside the trivial answer (the training labels "
      "mirrored).");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
