#pragma once

#include <string>
#include <vector>

#include "mambaseg/models/model_card.h"

namespace mambaseg {

/// A model that can be loaded: its weights, and what is known of it.
struct ModelInBox {
  std::string name;  ///< of its folder; of its file, where it has no card
  bool has_card = false;
  ModelCard card;
  std::vector<std::string> weights;  ///< paths, stage by stage
  std::string source;                ///< path of the card; of the weights, where it has none
};

/// The models below `folders`, each in a folder of its own with a card model.toml, sorted by name. A name
/// that an earlier folder has hides that of a later one; folders that are not there are passed over.
std::vector<ModelInBox> models_in(const std::vector<std::string>& folders);

/// The model that words of a command line name: a name of models_in, the path of a card, or paths of weights
/// (stages, several of one stage are averaged). UsageError with the nearest name otherwise.
ModelInBox find_model(const std::vector<std::string>& words, const std::vector<std::string>& folders);

/// The one model for a task ("volumes", "pictures"). UsageError when there is none, or several.
ModelInBox model_for_task(const std::string& task, const std::vector<std::string>& folders);

/// Throws Error naming the file when weights are missing or are not those whose digests the card has. Weights
/// without a card are taken as they are.
void check_weights(const ModelInBox& model);

/// The task of its weights. Throws Error when the card has another.
std::string task_of(const ModelInBox& model);

/// The card for people, as Markdown: with what the weights say of themselves.
std::string card_page(const ModelInBox& model);

}  // namespace mambaseg
