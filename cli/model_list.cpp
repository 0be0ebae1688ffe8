#include "cli/model_list.h"

#include <cstdio>

#include "mambaseg/session/installation.h"

namespace mambaseg {
namespace {

void print_lines() {
  const std::vector<ModelInBox> models = models_in(model_folders());
  if (models.empty()) {
    std::printf("no models are installed (looked in:");
    for (const std::string& folder : model_folders()) std::printf(" %s", folder.c_str());
    std::printf(")\n");
  }
  for (const ModelInBox& model : models)
    std::printf("%-20s %-9s %-6s %s\n", model.name.c_str(), model.card.task.c_str(),
                model.card.version.c_str(), model.card.title.c_str());
}

}  // namespace

Json json_of(const ModelInBox& model) {
  return {{"name", model.name}, {"weights", model.weights}, {"card", to_json(model.card)}};
}

void print_models(bool as_json) {
  if (!as_json) return print_lines();
  Json list = Json::array();
  for (const ModelInBox& model : models_in(model_folders())) list.push_back(json_of(model));
  std::printf("%s\n", list.dump(2).c_str());
}

}  // namespace mambaseg
