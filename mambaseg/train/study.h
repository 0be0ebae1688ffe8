#pragma once

#include <string>
#include <vector>

#include "mambaseg/nets/model/cost.h"
#include "mambaseg/report/comparison.h"
#include "mambaseg/train/trainer.h"

namespace mambaseg {

/// One row of a study: what it changes in the recipe.
struct Variant {
  std::string name;
  Json network = Json::object();
  std::vector<std::string> set;
  void describe(SettingsVisitor& visit) {
    visit("name", name, "name of the row, also of its folder");
    visit("network", network, "the network with its settings, in place of the recipe's; empty: the recipe's");
    visit("set", set, "settings that it changes, as \"network.decoder=conv\"");
  }
};

/// What each training of a study may take. Epochs of one recipe are the same patches and steps for all.
struct StudyBudget {
  int64_t epochs = 0;
  double seconds = 0;
  void describe(SettingsVisitor& visit) {
    visit("epochs", epochs, "epochs of each training; 0: the recipe's", at_least(0));
    visit(
        "seconds", seconds,
        "seconds of each training, validation left out: a trial finds how many epochs they are; 0: any time",
        at_least(0));
  }
};

/// Trainings that are compared: every variant on every split with every seed.
struct StudySettings {
  std::string recipe;
  std::vector<std::string> networks;
  std::vector<std::string> set;
  std::vector<Variant> variants;
  int64_t repeats = 1;
  std::vector<int64_t> seeds;
  StudyBudget budget;
  std::vector<std::string> metrics{"Dice", "HD95"};
  void describe(SettingsVisitor& visit) {
    visit("recipe", recipe, "the recipe that all rows start from: a file beside this one, or a name");
    visit("networks", networks, "rows: networks with the settings that they have by themselves");
    visit("set", set, "settings of the recipe that change for all rows, as \"training.epochs=3\"");
    visit("variants", variants, "further rows");
    visit("repeats", repeats, "random splits; each row sees the same ones", at_least(1));
    visit("seeds", seeds,
          "seeds of the training; scores of a case are averaged over them; empty: the recipe's");
    visit("budget", budget, "what each training may take");
    visit("metrics", metrics, "columns of the table");
  }
};

struct StudyOptions {
  StudySettings settings;
  Recipe recipe;        ///< with what the table and the command line change for all rows
  std::string folder;   ///< FOLDER/ROW/repeat_R[_seed_S] holds a run and its predictions
  std::string command;  ///< for the page
  TrainOptions train;   ///< device, threads, version and callbacks
};

/// One training of a row, and how its predictions score on the test cases of its split, or on its validation
/// cases where there are none.
struct StudyRun {
  int64_t repeat = 0;  ///< number of the split
  std::string name;    ///< "repeat_0_seed_1"
  std::string folder;
  int64_t epochs = 0, best_epoch = 0;
  double patches_per_s = 0;    ///< of the fastest epoch
  double peak_memory_mib = 0;  ///< of the process while it trained
  double prediction_s = 0;     ///< a case; 0 when the predictions were there
  Evaluation evaluation;
};

struct StudyRow {
  std::string name;
  int64_t parameters = 0;
  OperationCount operations;  ///< of one patch or picture, predicted
  std::vector<StudyRun> runs;
  std::string problem;  ///< why there are fewer runs than wanted
};

/// The table of a .toml file.
StudySettings read_study(const std::string& path);
/// The recipe that it names, which lies beside the file, with what the table changes for all rows.
Recipe recipe_of(const StudySettings& settings, const std::string& table);

/// The settings of each row with those it leaves open, by name. UsageError for what makes no sense.
std::vector<std::pair<std::string, RunSettings>> study_rows(const StudyOptions& options);

/// Trains, predicts and scores what is not there yet, so a study that was stopped goes on with the next call,
/// and writes FOLDER/report.html and FOLDER/study.json after every row. A row that fails is noted and does
/// not stop the others. Throws UsageError before anything is trained when a row makes no sense.
std::vector<StudyRow> run_study(const StudyOptions& options);

/// The scores of a row as those of one method: cases of all splits, averaged over the seeds.
Method method_of(const StudyRow& row);

/// Mean and standard deviation over the runs of the mean over structures; one line a row.
std::string study_table(const std::vector<StudyRow>& rows, const std::vector<std::string>& metrics);
Json study_json(const std::vector<StudyRow>& rows, const std::vector<std::string>& metrics);

/// The part of report.html that stands before the comparison: table, problems, curves.
std::string study_page_lead(const std::vector<StudyRow>& rows, const std::vector<std::string>& metrics,
                            const std::string& samples);

}  // namespace mambaseg
