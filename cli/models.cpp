#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "mambaseg/models/registry.h"
#include "mambaseg/session/installation.h"

namespace mambaseg {
namespace {

struct Options {
  std::string name;
  bool markdown = false, json = false;
};

Json json_of(const ModelInBox& model) {
  return {{"name", model.name}, {"weights", model.weights}, {"card", to_json(model.card)}};
}

void print_list() {
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

void run(const Options& options) {
  if (options.name.empty()) {
    if (!options.json) return print_list();
    Json list = Json::array();
    for (const ModelInBox& model : models_in(model_folders())) list.push_back(json_of(model));
    std::printf("%s\n", list.dump(2).c_str());
    return;
  }
  const ModelInBox model = find_model({options.name}, model_folders());
  check_weights(model);
  if (options.json) {
    std::printf("%s\n", json_of(model).dump(2).c_str());
  } else if (options.markdown) {
    std::printf("<!-- make docs writes this file from models/%s/model.toml and the weights -->\n%s",
                model.name.c_str(), card_page(model).c_str());
  } else {
    std::printf("%s", card_page(model).c_str());
  }
}

}  // namespace

void declare_models(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option(
      "name", options->name,
      "Model whose card is shown (a name, a model.toml or a file of weights); without it all are "
      "listed");
  command.add_flag("--json", options->json, "Print JSON");
  command.add_flag("--markdown", options->markdown, "Print the card as docs/models/NAME.md has it");
  command.callback([options] { run(*options); });
}

}  // namespace mambaseg
