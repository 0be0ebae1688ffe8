#pragma once

#include <string>
#include <vector>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// The settings that recipes and the command line name, one layer over the other. Settings that no layer
/// names are not in it.
struct Recipe {
  struct Layer {
    std::string source;  ///< the file or built-in recipe, or the option of the command line
    Json settings;
  };

  std::string name;           ///< as it was asked for, for messages
  std::vector<Layer> layers;  ///< from what is extended to what has the last word

  /// All layers as one: tables merge key by key, everything else, lists too, is replaced. A table that names
  /// something else (the `name` of a network or a loss) begins anew, as its former settings are those of
  /// another thing.
  Json settings() const;

  /// The source of the last layer that names the setting at "a.b.c"; "" when none does.
  std::string source_of(const std::string& path) const;
};

/// A recipe that comes with the program: recipes/NAME.toml or recipes/zoo/NAME.toml of the sources.
struct BuiltInRecipe {
  const char* name;
  const char* text;
};

/// All of them, by name.
const std::vector<BuiltInRecipe>& built_in_recipes();

bool is_built_in_recipe(const std::string& name);

/// Reads a recipe, the name of one that comes with the program or a TOML file below `folder`, and beneath it
/// what it extends: `extends = "other.toml"`, a name or a file relative to the file that says so. Throws
/// Error that names both files when the other is not there; UsageError on an unknown name, on recipes that
/// extend each other in a circle and on a syntax error.
Recipe read_recipe(const std::string& name_or_file, const std::string& folder = "");

}  // namespace mambaseg
