#include "mambaseg/models/registry.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "mambaseg/core/sha256.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCard = "model.toml";

ModelInBox model_of_card(const fs::path& path) {
  ModelInBox model;
  model.name = fs::absolute(path).parent_path().filename().string();
  model.has_card = true;
  model.source = path.string();
  model.card = read_model_card(path.string());
  for (const ModelStage& stage : model.card.stages)
    model.weights.push_back((path.parent_path() / stage.file).string());
  return model;
}

/// The card of each name.
std::map<std::string, fs::path> cards_in(const std::vector<std::string>& folders) {
  std::map<std::string, fs::path> cards;
  for (const std::string& folder : folders) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder, failed))
      if (fs::is_regular_file(entry.path() / kCard, failed))
        cards.emplace(entry.path().filename().string(), entry.path() / kCard);
  }
  return cards;
}

std::string places(const std::vector<std::string>& folders) {
  std::string text;
  for (const std::string& folder : folders) text += (text.empty() ? "" : " and ") + folder;
  return text;
}

}  // namespace

std::vector<ModelInBox> models_in(const std::vector<std::string>& folders) {
  std::vector<ModelInBox> models;
  for (const auto& [name, path] : cards_in(folders)) models.push_back(model_of_card(path));
  return models;
}

ModelInBox find_model(const std::vector<std::string>& words, const std::vector<std::string>& folders) {
  if (words.size() == 1) {
    const std::string& word = words.front();
    const auto cards = cards_in(folders);
    if (const auto found = cards.find(word); found != cards.end()) return model_of_card(found->second);
    if (fs::path(word).extension() == ".toml") return model_of_card(word);
    if (fs::is_regular_file(fs::path(word) / kCard)) return model_of_card(fs::path(word) / kCard);
    if (!fs::exists(word)) {
      std::vector<std::string> names;
      for (const auto& [name, path] : cards) names.push_back(name);
      const std::string near = nearest_word(word, names.data(), names.data() + names.size());
      throw UsageError(concat("there is no model ", word, near.empty() ? "" : ", did you mean " + near + "?",
                              " (mambaseg models lists them; a file of weights or a model.toml can be given "
                              "as well)"));
    }
  }
  ModelInBox model;
  model.name = fs::path(words.at(0)).stem().string();
  model.weights = words;
  model.source = words.at(0);
  for (const std::string& path : words)
    if (!fs::is_regular_file(path))
      throw UsageError(path + ": there is no such file; expected weights, a .safetensors file");
  return model;
}

ModelInBox model_for_task(const std::string& task, const std::vector<std::string>& folders) {
  std::vector<ModelInBox> found;
  std::string names;
  for (ModelInBox& model : models_in(folders)) {
    if (model.card.task != task) continue;
    names += (names.empty() ? "" : ", ") + model.name;
    found.push_back(std::move(model));
  }
  if (found.empty())
    throw UsageError(concat("there is no model for ", task, " in ", places(folders),
                            "; name one: -m weights.safetensors"));
  if (found.size() > 1)
    throw UsageError(
        concat("there are several models for ", task, ": name one of ", names, ": -m ", found.front().name));
  return found.front();
}

void check_weights(const ModelInBox& model) {
  for (size_t s = 0; s < model.weights.size(); ++s) {
    const std::string& path = model.weights[s];
    require(fs::is_regular_file(path), path, ": these weights of the model ", model.name,
            " are not there; install mambaseg anew, or take them from its repository");
    if (!model.has_card) continue;
    const std::string digest = sha256_of_file(path);
    require(digest == model.card.stages[s].sha256, path, ": these are not the weights that the card of ",
            model.name, " names (SHA-256 ", digest.substr(0, 12), "..., expected ",
            model.card.stages[s].sha256.substr(0, 12), "...); fetch the file anew, or name it with -m");
  }
}

}  // namespace mambaseg
