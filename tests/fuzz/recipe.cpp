#include "mambaseg/config/recipe.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/data/plan.h"
#include "mambaseg/tasks/pictures/picture_plan.h"
#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {

/// A recipe, the parts of it that this build knows, and its first line as an argument of --set over it.
void fuzz_recipe(const std::string& bytes, const std::string& folder) {
  const std::string path = folder + "/recipe.toml";
  write_bytes(path, bytes);
  const Json recipe = read_toml(path);
  to_toml(recipe);
  const Json data = recipe.contains("data") && recipe["data"].is_object() ? recipe["data"] : Json::object();
  if (data.contains("dataset")) from_json<DatasetSettings>(data["dataset"], "data.dataset");
  if (data.contains("split")) from_json<SplitSettings>(data["split"], "data.split");
  if (recipe.contains("plan") && recipe.value("task", Json()) == "pictures")
    from_json<PicturePlan>(recipe["plan"], "plan");
  else if (recipe.contains("plan") && !recipe.contains("extends"))  // whose task may stand in the other
    from_json<Plan>(recipe["plan"], "plan");
  const std::string line = bytes.substr(0, bytes.find('\n'));
  if (line.find('=') == std::string::npos) return;
  Json changed = recipe;
  set_by_path(changed, line);
  to_toml(Recipe{path, {{path, recipe}, {"--set", changed}}}.settings());
}

}  // namespace mambaseg
