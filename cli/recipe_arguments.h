#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "mambaseg/config/recipe.h"

namespace mambaseg {

/// RECIPE, --plan and --set, the same in every command that takes a recipe.
struct RecipeArguments {
  std::string recipe, plan;
  std::vector<std::string> assignments;

  /// `use` says in the help what a command does with RECIPE. Returns the option, which a command may require.
  CLI::Option* declare(CLI::App& command, const std::string& use);
  /// --plan, for commands that take what `mambaseg plan` wrote.
  void declare_plan(CLI::App& command);

  /// The recipe, over it the plan, over that --set. UsageError when the plan is one for another network.
  Recipe read() const;
};

}  // namespace mambaseg
