#pragma once

#include <string>
#include <vector>

#include "mambaseg/report/comparison.h"
#include "mambaseg/train/trainer.h"

namespace mambaseg {

/// One row of an ablation table: what it changes in the recipe.
struct Variant {
  std::string name;
  std::vector<std::string> set;
  void describe(SettingsVisitor& visit) {
    visit("name", name, "name of the row, also of its folder");
    visit("set", set, "settings that it changes, as \"network.decoder=conv\"");
  }
};

/// A table of trainings: every variant on every one of `repeats` random splits.
struct AblationSettings {
  std::string recipe;
  int64_t repeats = 5;
  std::vector<std::string> metrics{"Dice", "IoU", "recall", "F2", "HD95"};
  std::vector<Variant> variants;
  void describe(SettingsVisitor& visit) {
    visit("recipe", recipe, "the recipe that all variants start from: a file beside this one, or a name");
    visit("repeats", repeats, "random splits; each variant sees the same ones", at_least(1));
    visit("metrics", metrics, "columns of the table");
    visit("variants", variants, "rows of the table");
  }
};

struct AblationOptions {
  AblationSettings settings;
  Recipe recipe;  ///< with what the command line changes
  std::string
      folder;  ///< FOLDER/VARIANT/repeat_R holds a run and its predictions, FOLDER/ablation.json the table
  TrainOptions train;  ///< device, threads, version and callbacks
};

struct AblationRow {
  std::string name;
  int64_t parameters = 0;
  std::vector<Method>
      repeats;  ///< scores of the test cases of each split, or of its validation cases without any
};

/// Trains, predicts and scores what is not there yet, so an interrupted table is continued by the next call.
/// Throws UsageError on a variant without or with the name of another.
std::vector<AblationRow> run_ablation(const AblationOptions& options);

/// Mean and standard deviation over the splits of the mean over classes; one line a variant.
std::string ablation_table(const std::vector<AblationRow>& rows, const std::vector<std::string>& metrics);
Json ablation_json(const std::vector<AblationRow>& rows, const std::vector<std::string>& metrics);

}  // namespace mambaseg
