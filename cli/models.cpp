#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/model_list.h"
#include "mambaseg/models/registry.h"
#include "mambaseg/session/installation.h"

namespace mambaseg {
namespace {

struct Options {
  std::string name;
  bool markdown = false, json = false;
};

void run(const Options& options) {
  if (options.name.empty()) return print_models(options.json);
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
