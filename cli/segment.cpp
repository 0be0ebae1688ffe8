#include "mambaseg/segment/segment.h"

#include <memory>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/shard_arguments.h"
#include "cli/terminal.h"
#include "mambaseg/session/installation.h"

namespace mambaseg {
namespace {

struct Options {
  SegmentRequest request;
  std::string precision = "auto";
  ShardArguments shard;
  Machine machine;
};

void run(const Options& options) {
  SegmentRequest request = options.request;
  request.device = options.machine.start();
  request.precision = precision_named(options.precision, arithmetic_of(request.device));
  request.model_folders = model_folders();
  request.shard = options.shard.read();
  request.version = MAMBASEG_VERSION;
  segment_images(request, {progress_bar(), warnings_to_stderr(), notes_to_stdout()});
}

}  // namespace

void declare_segment(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option("input", options->request.inputs,
                  "Images: files, folders of files, a folder with a DICOM series, a FreeSurfer subject or "
                  "SUBJECTS_DIR; PNG, JPEG and BMP are pictures, all else are volumes")
      ->required();
  command
      .add_option("-o,--output", options->request.output,
                  "Folder for labels, volumes (volumes.tsv, areas.tsv) and pages (index.html)")
      ->capture_default_str();
  command
      .add_option(
          "-m,--model", options->request.model,
          "Model: a name (mambaseg models lists them), a model.toml, or files of weights (stages), -m once "
          "for each; left out, the one for this kind of images")
      ->allow_extra_args(false);
  command.add_flag("--overwrite", options->request.overwrite, "Segment images anew that have been segmented");
  command.add_flag("--quick", options->request.quick,
                   "Look once: no second look, at the mirrored image, by which doubtful labels are found");
  command
      .add_option("--precision", options->precision,
                  "fp32; bf16; auto: bf16 where the device has it and a trial on the first image keeps its "
                  "labels; on "
                  "a GPU tf32 and fp16, too")
      ->check(CLI::IsMember({"fp32", "tf32", "bf16", "fp16", "auto"}))
      ->capture_default_str();
  command
      .add_option("--memory", options->request.memory_gib,
                  "GiB that votes and volumes may take; 0: any amount")
      ->check(CLI::NonNegativeNumber);
  options->shard.declare(command);
  options->machine.declare(command);
  command.footer(
      "Examples:\n"
      "  mambaseg segment T1.nii.gz                          one brain, into segmented/\n"
      "  mambaseg segment $SUBJECTS_DIR -o volumes           every subject\n"
      "  mambaseg segment series/ -o out                     a folder with one DICOM series\n"
      "  mambaseg segment scans/ -o out --shard 2/8          as the second of eight workers "
      "(docs/cohorts.md)\n"
      "  mambaseg segment photos/ -o lesions -m skin-lesion  a folder of pictures\n"
      "docs/segment.md says what is written, refused and flagged.");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
