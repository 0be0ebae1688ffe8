#include "mambaseg/config/recipe.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>

#include "mambaseg/core/text.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// A recipe before it is read.
struct Place {
  std::string label;                        ///< for messages: the path or the name
  const BuiltInRecipe* built_in = nullptr;  ///< null: a file

  std::string identity() const { return built_in ? label : fs::weakly_canonical(label).string(); }
  Json read() const { return built_in ? parse_toml(built_in->text, "recipe " + label) : read_toml(label); }
};

const BuiltInRecipe* find_built_in(const std::string& name) {
  for (const BuiltInRecipe& one : built_in_recipes())
    if (one.name == name) return &one;
  return nullptr;
}

/// ", did you mean A or B?": the recipes whose names begin with `word`, else the nearest; "" without any.
std::string did_you_mean(const std::string& word) {
  std::vector<std::string> names;
  std::string meant;
  for (const BuiltInRecipe& one : built_in_recipes()) {
    names.emplace_back(one.name);
    if (names.back().starts_with(word)) meant += (meant.empty() ? "" : " or ") + names.back();
  }
  if (meant.empty()) meant = nearest_word(word, names.data(), names.data() + names.size());
  return meant.empty() ? "" : ", did you mean " + meant + "?";
}

/// The recipe that `word` names: one that comes with the program, or a file below `folder`.
Place place_of(const std::string& word, const fs::path& folder) {
  if (const BuiltInRecipe* found = find_built_in(word)) return {word, found};
  const std::string path = (folder / word).lexically_normal().string();
  if (fs::is_regular_file(path)) return {path};
  if (fs::is_directory(path)) {
    const bool run = fs::exists(fs::path(path) / "recipe.toml");
    throw UsageError(
        concat(path, ": this is a folder; expected a recipe", run ? ", as recipe.toml in it" : ""));
  }
  if (word.find('/') != std::string::npos || word.ends_with(".toml")) {
    const std::string name = fs::path(word).stem().string();
    const bool known = find_built_in(name) != nullptr;
    throw Error(
        concat(path, ": no such file", known ? "; " + name + " alone is a recipe of the program" : ""));
  }
  throw UsageError(concat("no recipe is called ", word, did_you_mean(word),
                          " (mambaseg recipe lists them; your own is a file, NAME.toml)"));
}

/// The recipe that the one at `from` extends. Built-in recipes extend each other as the files they were.
Place extended_place(const Json& extends, const Place& from) {
  if (!extends.is_string() || extends.get<std::string>().empty())
    throw UsageError(
        concat("extends: expected one recipe, as extends = \"other.toml\", got ", extends.dump()));
  const auto word = extends.get<std::string>();
  return with_context("extends", [&] {
    if (!from.built_in) return place_of(word, fs::path(from.label).parent_path());
    const std::string name = fs::path(word).stem().string();
    const BuiltInRecipe* found = find_built_in(name);
    require(found != nullptr, word, ": no such recipe comes with the program");
    return Place{name, found};
  });
}

void lay_over(Json& base, const Json& over) {
  const bool tables = base.is_object() && over.is_object();
  const bool other = tables && base.contains("name") && over.contains("name") && base["name"] != over["name"];
  if (!tables || other) {
    base = over;
    return;
  }
  for (const auto& [key, value] : over.items()) lay_over(base[key], value);
}

}  // namespace

Json Recipe::settings() const {
  Json all = Json::object();
  for (const Layer& layer : layers) lay_over(all, layer.settings);
  return all;
}

std::string Recipe::source_of(const std::string& path) const {
  const auto names = [&path](const Json& settings) {
    const Json* at = &settings;
    std::stringstream keys(path);
    for (std::string key; std::getline(keys, key, '.');) {
      if (!at->is_object() || !at->contains(key)) return false;
      at = &at->at(key);
    }
    return true;
  };
  if (!names(settings())) return "";
  const auto last =
      std::find_if(layers.rbegin(), layers.rend(), [&](const Layer& layer) { return names(layer.settings); });
  return last->source;
}

bool is_built_in_recipe(const std::string& name) { return find_built_in(name) != nullptr; }

Recipe read_recipe(const std::string& name_or_file, const std::string& folder) {
  Recipe recipe{name_or_file, {}};
  std::vector<Place> chain;
  std::optional<Place> at = place_of(name_or_file, folder);
  while (at) {
    const auto same = [&](const Place& one) { return one.identity() == at->identity(); };
    if (const auto again = std::find_if(chain.begin(), chain.end(), same); again != chain.end()) {
      std::string circle;
      for (auto one = again; one != chain.end(); ++one) circle += one->label + " extends ";
      throw UsageError(concat(circle, at->label, ": expected recipes that extend each other in no circle"));
    }
    chain.push_back(*at);
    const Place& here = chain.back();
    Json settings = here.read();
    at.reset();
    if (const auto extends = settings.find("extends"); extends != settings.end()) {
      at = with_context(here.label, [&] { return extended_place(*extends, here); });
      settings.erase("extends");
    }
    recipe.layers.insert(recipe.layers.begin(), {here.label, std::move(settings)});
  }
  return recipe;
}

}  // namespace mambaseg
