#include "cli/recipe_arguments.h"

#include "cli/terminal.h"
#include "mambaseg/train/run.h"

namespace mambaseg {
namespace {

std::string network_of(const Json& settings) {
  const Json::json_pointer name("/network/name");
  return settings.contains(name) && settings.at(name).is_string() ? settings.at(name).get<std::string>() : "";
}

}  // namespace

CLI::Option* RecipeArguments::declare(CLI::App& command, const std::string& use) {
  declare_assignments(command, assignments, "Change a setting of the recipe");
  return command.add_option("recipe", recipe,
                            "Recipe, a TOML file or a name that `mambaseg recipe` lists; " + use);
}

void RecipeArguments::declare_plan(CLI::App& command) {
  command.add_option("--plan", plan, "plan.json of `mambaseg plan`, over the recipe")
      ->check(CLI::ExistingFile);
}

Recipe RecipeArguments::read() const {
  Recipe own = read_recipe(recipe);
  Recipe planned = own;
  set_in_recipe(own, assignments);
  if (plan.empty()) return own;
  planned.layers.push_back({plan, read_json(plan)});
  const std::string of_plan = network_of(planned.layers.back().settings),
                    of_recipe = network_of(own.settings());
  if (!of_plan.empty() && !of_recipe.empty() && of_plan != of_recipe)
    throw UsageError(concat(plan, ": this is a plan for the network ", of_plan, ", but ", recipe, " trains ",
                            of_recipe, "; expected one that `mambaseg plan` made of that recipe"));
  set_in_recipe(planned, assignments);
  return planned;
}

}  // namespace mambaseg
