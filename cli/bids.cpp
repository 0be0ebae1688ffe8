#include "mambaseg/segment/segment_bids.h"

#include <memory>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/terminal.h"
#include "mambaseg/session/installation.h"

namespace mambaseg {
namespace {

struct Options {
  BidsRequest request;
  std::string level, work;
  std::string precision = "auto";
  Machine machine;
};

void run(const Options& options) {
  BidsRequest request = options.request;
  request.segment.model_folders = model_folders();
  request.segment.version = MAMBASEG_VERSION;
  const Listeners listeners{progress_bar(), warnings_to_stderr(), notes_to_stdout()};
  if (options.level == "group") {
    tabulate_bids(request, listeners);
    return;
  }
  request.segment.device = options.machine.start();
  request.segment.precision = precision_named(options.precision, arithmetic_of(request.segment.device));
  segment_bids(request, listeners);
}

}  // namespace

void declare_bids(CLI::App& command) {
  auto options = std::make_shared<Options>();
  BidsRequest& request = options->request;
  command.add_option("dataset", request.dataset, "The BIDS data set")->required();
  command
      .add_option("output", request.segment.output,
                  "Folder of the derivatives, for example DATASET/derivatives/mambaseg")
      ->required();
  command
      .add_option("level", options->level,
                  "participant: segment T1-weighted images; group: one table and page of what was segmented")
      ->required()
      ->check(CLI::IsMember({"participant", "group"}));
  command.add_option("--participant-label,--participant_label", request.selection.participants,
                     "Participants, with or without sub-; left out: all");
  command.add_option("--session-label,--session_label", request.selection.sessions,
                     "Sessions, with or without ses-; left out: all");
  command
      .add_option("-m,--model", request.segment.model,
                  "Model, as for segment; left out, the one for volumes that comes with the program")
      ->allow_extra_args(false);
  command.add_flag("--skip-bids-validation,--skip_bids_validator", request.unchecked,
                   "Go on where dataset_description.json is missing or lacks what BIDS requires");
  command.add_option("-w,--work-dir", options->work,
                     "Taken because callers of BIDS Apps give it; nothing is written there");
  command.add_flag("--overwrite", request.segment.overwrite, "Segment images anew that have labels");
  command.add_flag("--quick", request.segment.quick, "Look once: without agreement");
  command.add_option("--precision", options->precision, "As for segment")
      ->check(CLI::IsMember({"fp32", "tf32", "bf16", "fp16", "auto"}))
      ->capture_default_str();
  command
      .add_option("--memory", request.segment.memory_gib,
                  "GiB that votes and volumes may take; 0: any amount")
      ->check(CLI::NonNegativeNumber);
  options->machine.declare(command);
  command.footer(
      "Examples:\n"
      "  mambaseg bids data data/derivatives/mambaseg participant --participant-label 01 02\n"
      "  mambaseg bids data data/derivatives/mambaseg group\n"
      "docs/bids.md says what is written.");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
