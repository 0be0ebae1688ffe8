#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>

#include "cli/commands.h"
#include "cli/recipe_arguments.h"
#include "mambaseg/train/explained_recipe.h"

namespace mambaseg {
namespace {

/// What a recipe's first line says of it.
std::string summary_of(const BuiltInRecipe& recipe) {
  const std::string_view text = recipe.text;
  const std::string_view line = text.substr(0, text.find('\n'));
  return std::string(line.substr(std::min(line.size(), line.find_first_not_of("# "))));
}

void print_list() {
  size_t width = 0;
  for (const BuiltInRecipe& one : built_in_recipes())
    width = std::max(width, std::string_view(one.name).size());
  for (const BuiltInRecipe& one : built_in_recipes())
    std::printf("%-*s  %s\n", int(width), one.name, summary_of(one).c_str());
}

void run(const RecipeArguments& arguments) {
  if (arguments.recipe.empty()) return print_list();
  std::fputs(explained(arguments.read()).c_str(), stdout);
}

}  // namespace

void declare_recipe(CLI::App& command) {
  auto arguments = std::make_shared<RecipeArguments>();
  arguments->declare(command, "without one all are listed");
  arguments->declare_plan(command);
  command.callback([arguments] { run(*arguments); });
  command.footer(
      "Example: mambaseg recipe unet_isic2018 --set training.epochs=50 > mine.toml\n"
      "A recipe of your own may say `extends = \"unet_isic2018\"` and name only what differs "
      "(docs/recipes.md).");
}

}  // namespace mambaseg
