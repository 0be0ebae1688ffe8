#pragma once

#include <functional>
#include <memory>
#include <string>

#include <torch/types.h>

#include "mambaseg/core/progress.h"
#include "mambaseg/train/run.h"
#include "mambaseg/train/world.h"

namespace mambaseg {

struct TrainOptions {
  RunSettings settings;
  std::string
      folder;  ///< of the run: recipe.toml, journal.jsonl, best.safetensors, last.safetensors, split.json
  bool resume = false;  ///< go on where the run in `folder` stopped
  torch::Device device = torch::kCPU;
  int threads = 1;  ///< for preparing cases and drawing batches
  /// With whom it trains. Every rank trains by the same recipe in the same folder, which all of them see;
  /// each step's samples and the validation cases are divided among them, and what they hear of is the
  /// leading one's.
  std::shared_ptr<World> world = std::make_shared<World>();
  std::string version;  ///< of the program, kept in the model files
  Progress progress;
  Warn warn;
  Warn note;                                      ///< what is done, in a line
  std::function<void(const Json& line)> on_line;  ///< every line of the journal
};

struct TrainResult {
  std::string
      best_path;  ///< best.safetensors: the epoch with the best validation Dice, without validation the last
  double best_dice = -1;    ///< -1 without validation cases
  int64_t best_epoch = -1;  ///< from 0
};

/// Trains by a recipe: prepares what the cache lacks, then epochs of steps, validation, journal, and the
/// state after each epoch. Stopped at any moment, even by kill -9, it goes on with `resume` bit for bit as if
/// it had not been stopped (same build, device, processor, thread count; on another one a line of the journal
/// and a warning say so). A resumed run keeps its split; another dataset is refused. One process at a time
/// may work in a folder. A non-finite loss or gradient ends the run with an Error that names the module and
/// the patches; the weights before that step are kept. Throws Error when `folder` holds a run and `resume` is
/// false, or the network or plan of the run to be resumed differ.
TrainResult train(const TrainOptions& options);

/// Removes the files of a run, so that another can begin in its folder; what else lies there stays. Throws
/// Error when a process works there.
void remove_run(const std::string& folder);

}  // namespace mambaseg
