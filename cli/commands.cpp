#include "cli/commands.h"

namespace mambaseg {

void declare_demo(CLI::App& command);
void declare_segment(CLI::App& command);
void declare_bids(CLI::App& command);
void declare_models(CLI::App& command);
void declare_networks(CLI::App& command);
void declare_orders(CLI::App& command);
void declare_convert(CLI::App& command);
void declare_inspect(CLI::App& command);
void declare_cohort(CLI::App& command);
void declare_evaluate(CLI::App& command);
void declare_predict(CLI::App& command);
void declare_compare(CLI::App& command);
void declare_plan(CLI::App& command);
void declare_recipe(CLI::App& command);
void declare_study(CLI::App& command);
void declare_prepare(CLI::App& command);
void declare_scribbles(CLI::App& command);
void declare_train(CLI::App& command);

const std::vector<Command>& commands() {
  static const std::vector<Command> list{
      {"demo", "Train on one half of a brain, segment the other half, score it", declare_demo},
      {"segment", "Segment brains and skin lesions with the models that come with the program",
       declare_segment},
      {"bids", "Segment the participants of a BIDS data set (BIDS App)", declare_bids},
      {"models", "List the models that come with the program, or show the card of one", declare_models},
      {"networks", "List the networks, or the settings of one", declare_networks},
      {"orders", "List the orders in which scans visit tokens, or draw them", declare_orders},
      {"convert", "Turn weights of PyTorch into a model, or a model into a smaller one", declare_convert},
      {"inspect", "Show size, geometry, values and labels of images", declare_inspect},
      {"recipe", "List the recipes, or print one with every setting, its meaning and origin", declare_recipe},
      {"plan", "Check a dataset and plan spacing, patch and stages for it", declare_plan},
      {"prepare", "Prepare the cases of a dataset for training", declare_prepare},
      {"scribbles", "Draw strokes from masks, to train with instead of them", declare_scribbles},
      {"train", "Train a network by a recipe", declare_train},
      {"study", "Train networks on one data set with one budget and compare them", declare_study},
      {"predict", "Segment images with a trained model", declare_predict},
      {"cohort", "Divide the cases of a command over many workers, and tell what became of them",
       declare_cohort},
      {"evaluate", "Score predictions against references", declare_evaluate},
      {"compare", "Test sets of predictions against each other", declare_compare},
  };
  return list;
}

}  // namespace mambaseg
