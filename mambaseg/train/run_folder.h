#pragma once

#include <string>
#include <vector>

#include "mambaseg/data/case_cache.h"
#include "mambaseg/io/folder_lock.h"
#include "mambaseg/train/trainer.h"
#include "mambaseg/train/training_state.h"

namespace mambaseg {

/// The folder of a run, locked while the object lives by the rank that leads, which alone writes there: what
/// lies there under which name, and what a run that is resumed keeps of it and refuses. What decides which
/// samples are drawn stays as it was: dataset, split, seed, images and labels.
class RunFolder {
 public:
  /// Takes the folder that `options`, which must outlive the object, names, and removes the temporary files
  /// that a killed run left. `plan` is kept in the models. Throws Error when another process works there or
  /// there is no run to resume; UsageError when there is one and it is not to be resumed, or its settings
  /// differ.
  RunFolder(const TrainOptions& options, Json plan);

  /// Files that others write.
  std::string cache() const { return path("cache"); }
  std::string journal() const { return path("journal.jsonl"); }
  std::string curves() const { return path("curves.svg"); }
  std::string best() const { return path("best.safetensors"); }
  std::string last() const { return path("last.safetensors"); }

  /// Whether there is a state from which a run goes on. One that was stopped before its first state starts
  /// over, which gives the same as going on.
  bool goes_on() const;
  /// That state. Throws Error when the run had another network or plan.
  TrainingState last_state() const;

  /// The split of `cases`, all of the dataset. A resumed run keeps the one that it began with, whatever was
  /// added meanwhile; Error when a case of it is gone.
  Split split_of(const std::vector<Case>& cases);
  /// Notes a case that trains or validates. Throws Error when its image or labels have changed since the run
  /// to be resumed began.
  void note_content(const PreparedCase& one);
  /// Writes recipe.toml and split.json, with the cases noted: from here on it is a run.
  void begin(const Split& split) const;

  void save_best(const TrainingState& state) const;
  void save_last(const TrainingState& state) const;

  /// See remove_run.
  static void remove(const std::string& folder);

 private:
  std::string path(const char* name) const;
  bool holds_run() const;
  void require_same_draws() const;
  ModelInfo about(const TrainingState& state) const;

  const TrainOptions& options_;
  const RunSettings& settings_;
  const Json plan_;
  std::optional<FolderLock> lock_;
  int64_t dataset_cases_ = 0;  ///< also those in no list; of the run to be resumed when it began
  Json content_ = Json::object(), begun_content_ = Json::object();  ///< of each case: now, and then
};

}  // namespace mambaseg
