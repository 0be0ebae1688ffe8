#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/shard_arguments.h"
#include "cli/terminal.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/tasks/task.h"

namespace mambaseg {
namespace {

struct Options {
  PredictRequest request;
  std::string precision = "fp32";
  ShardArguments shard;
  Machine machine;
};

void run(const Options& options) {
  PredictRequest request = options.request;
  request.device = options.machine.start();
  request.precision = precision_named(options.precision, arithmetic_of(request.device));
  const std::string& model = request.models.front();
  request.shard = options.shard.read();
  const AnyTask task = with_context(model, [&] { return task_of_model(read_model_info(model).plan); });
  task->predict_files(request, {progress_bar(), warnings_to_stderr(), notes_to_stdout()});
}

}  // namespace

void declare_predict(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option(
          "-m,--model", options->request.models,
          "Model file; a model of a second stage (around labels of the first), more models of the same "
          "stage, whose probabilities are averaged, and models of slices of other planes, whose scores are "
          "summed, may follow")
      ->required()
      ->check(CLI::ExistingFile);
  command
      .add_option(
          "-i,--input", options->request.inputs,
          "Image file (several: the channels of one case), DICOM folder, folder of images (CASE_0000, "
          "CASE_0001, ... are channels) or FreeSurfer subjects folder; for a model of pictures a PNG, JPEG "
          "or BMP file or a folder of them")
      ->required();
  command
      .add_option("-o,--output", options->request.output,
                  "Label file for one image (PNG for a picture), else a folder")
      ->required();
  command.add_option("--step", options->request.step, "Voxels between patches; 0: as the model's plan says")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--batch", options->request.batch,
                  "Patches or pictures that go through the network together")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option(
          "--memory", options->request.memory_gib,
          "GiB that votes and volumes may take; 0: any amount. What a case takes is printed before it runs")
      ->check(CLI::NonNegativeNumber);
  command.add_flag_callback(
      "--no-mirror", [options] { options->request.mirror = false; },
      "Look at each patch once, although the model's plan averages over mirrored ones");
  command
      .add_option(
          "--quarter-map", options->request.quarter_from,
          "SS2D networks: scan one of 2 x 2 tokens on planes of this many tokens or more (QuarterMap), "
          "which is faster and less exact; 0: on none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--remove-below", options->request.least_mm3,
                  "Remove connected components smaller than this many mm3 from the labels; 0: keep all")
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--precision", options->precision,
                  "fp32; bf16; auto: bf16 where the device has it and a trial on the first image keeps its "
                  "labels; on "
                  "a GPU tf32 and fp16, too")
      ->check(CLI::IsMember({"fp32", "tf32", "bf16", "fp16", "auto"}))
      ->capture_default_str();
  command.add_flag("--resume", options->request.resume, "Keep label files that are there already");
  command.add_flag("--probability", options->request.probability,
                   "Write the probability too, 0..255; of volumes one image a class or region, "
                   "on the file's grid with its axes as the model's plan turns them");
  command.add_flag("--overlay", options->request.overlay,
                   "Pictures: write the picture with the mask's contour too");
  command
      .add_option("--split", options->request.split,
                  "Pictures: only the test cases of this split file (RUN/split.json)")
      ->check(CLI::ExistingFile);
  options->shard.declare(command);
  options->machine.declare(command);
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
