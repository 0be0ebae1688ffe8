#include "mambaseg/config/recipe.h"

#include <cmath>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/config/toml_text.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

Json laid(const char* below, const char* above) {
  return Recipe{"", {{"below", Json::parse(below)}, {"above", Json::parse(above)}}}.settings();
}

std::string refusal(const std::string& name_or_file) {
  try {
    read_recipe(name_or_file);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Recipe, TablesMergeKeyByKeyAndListsAreReplaced) {
  EXPECT_EQ(
      laid(R"({"a": 1, "plan": {"patch": [1, 2, 3], "step": 4, "ct": {"low": 0, "high": 9}}})",
           R"({"b": 2, "plan": {"patch": [5], "ct": {"low": 1}}})"),
      Json::parse(R"({"a": 1, "b": 2, "plan": {"patch": [5], "step": 4, "ct": {"low": 1, "high": 9}}})"));
}

TEST(Recipe, ATableThatNamesSomethingElseBeginsAnew) {
  const char* unet = R"({"network": {"name": "unet", "widths": [8]}, "task": "pictures"})";
  EXPECT_EQ(laid(unet, R"({"network": {"name": "vm_unet", "drop_path": 0.1}})"),
            Json::parse(R"({"network": {"name": "vm_unet", "drop_path": 0.1}, "task": "pictures"})"));
  EXPECT_EQ(laid(unet, R"({"network": {"name": "unet", "classes": 3}})")["network"],
            Json::parse(R"({"name": "unet", "widths": [8], "classes": 3})"));
  Recipe recipe{"", {{"below", Json::parse(unet)}, {"above", {{"network", {{"name", "vm_unet"}}}}}}};
  EXPECT_EQ(recipe.source_of("network.name"), "above");
  EXPECT_EQ(recipe.source_of("network.widths"), "") << "went with its network";
  EXPECT_EQ(recipe.source_of("task"), "below");
  EXPECT_EQ(recipe.source_of("task.none"), "");
}

TEST(Recipe, ExtendsFilesRelativeToTheFileThatSaysSo) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "base");
  write_bytes(folder / "base/first.toml", "[training]\nepochs = 1\nbatch = 1\nseed = 1\n");
  write_bytes(folder / "base/second.toml", "extends = \"first.toml\"\n[training]\nepochs = 2\nbatch = 2\n");
  write_bytes(folder / "third.toml", "extends = \"base/second.toml\"\n[training]\nepochs = 3\n");
  const Recipe recipe = read_recipe(folder / "third.toml");
  EXPECT_EQ(recipe.settings(), Json::parse(R"({"training": {"epochs": 3, "batch": 2, "seed": 1}})"));
  EXPECT_EQ(recipe.source_of("training.epochs"), folder / "third.toml");
  EXPECT_EQ(recipe.source_of("training.batch"), folder / "base/second.toml");
  EXPECT_EQ(recipe.source_of("training.seed"), folder / "base/first.toml");
  EXPECT_EQ(read_recipe("third.toml", folder.string()).settings(), recipe.settings());
}

TEST(Recipe, TheProgramBringsThoseOfItsSources) {
  std::map<std::string, fs::path> files;
  for (const char* folder : {"recipes", "recipes/zoo"})
    for (const auto& entry : fs::directory_iterator(fs::path(MAMBASEG_SOURCE_DIR) / folder))
      if (entry.path().extension() == ".toml") {
        EXPECT_TRUE(files.emplace(entry.path().stem(), entry.path()).second) << entry.path();
      }
  EXPECT_EQ(built_in_recipes().size(), files.size());
  for (const BuiltInRecipe& one : built_in_recipes()) {
    ASSERT_EQ(files.count(one.name), 1u) << one.name;
    EXPECT_EQ(read_recipe(one.name).settings(), read_recipe(files[one.name].string()).settings());
  }
}

TEST(Recipe, AFileMayExtendOneOfTheProgram) {
  const TemporaryFolder folder;
  write_bytes(folder / "mine.toml", "extends = \"unet_isic2018\"\ntraining.epochs = 3\n");
  const Recipe recipe = read_recipe(folder / "mine.toml");
  EXPECT_EQ(recipe.settings()["training"]["epochs"], 3);
  EXPECT_EQ(recipe.settings()["network"], Json({{"name", "unet"}}));
  EXPECT_EQ(recipe.source_of("network.name"), "unet_isic2018");
  EXPECT_EQ(recipe.source_of("plan.size"), "hym_unet_isic2018");
}

TEST(Recipe, RefusesInOneLineThatNamesTheFiles) {
  const TemporaryFolder folder;
  const auto file = [&](const char* name, const std::string& text) {
    write_bytes(folder / name, text);
    return folder / name;
  };
  const std::string a = file("a.toml", "extends = \"b.toml\"\n"),
                    b = file("b.toml", "extends = \"./a.toml\"\n");
  EXPECT_THAT(refusal(a), HasSubstr(a + " extends " + b + " extends " + a));
  EXPECT_THROW(read_recipe(a), UsageError);
  const std::string self = file("self.toml", "extends = \"self.toml\"\n");
  EXPECT_THAT(refusal(self), HasSubstr(self + " extends " + self));
  const std::string lost = file("lost.toml", "extends = \"gone.toml\"\n");
  EXPECT_THAT(refusal(lost),
              AllOf(HasSubstr(lost + ": extends: "), HasSubstr(folder / "gone.toml: no such file")));
  const std::string near = file("near.toml", "extends = \"unet_isic2018.toml\"\n");
  EXPECT_THAT(refusal(near), HasSubstr("unet_isic2018 alone is a recipe of the program"));
  for (const char* wrong : {"3", "[\"a.toml\"]", "\"\"", "{}"}) {
    const std::string typed = file("typed.toml", concat("extends = ", wrong, "\n"));
    EXPECT_THAT(refusal(typed), HasSubstr("extends: expected one recipe, as extends = \"other.toml\", got "))
        << wrong;
    EXPECT_THROW(read_recipe(typed), UsageError) << wrong;
  }
  EXPECT_THAT(refusal("unet_isic2108"), HasSubstr("did you mean unet_isic2018?"));
  EXPECT_THAT(refusal("medsegmamba_t1"),
              HasSubstr("did you mean medsegmamba_t1_locate or medsegmamba_t1_subcortical?"));
  EXPECT_THROW(read_recipe("unet_isic2108"), UsageError);
  EXPECT_THAT(refusal(folder / "none.toml"), HasSubstr("none.toml: no such file"));
  EXPECT_THAT(refusal(folder.string()), HasSubstr("this is a folder"));
  const std::string broken = file("broken.toml", "epochs = = 3\n");
  EXPECT_THAT(refusal(file("upon.toml", "extends = \"broken.toml\"\n")), HasSubstr(broken + ":1:"));
}

TEST(Recipe, AValueIsWrittenShort) {
  EXPECT_EQ(toml_value(0.2), "0.2");
  EXPECT_EQ(toml_value(Json::parse(R"([{"ids": [1], "name": "liver"}])")),
            R"([{ name = "liver", ids = [1] }])");
  EXPECT_EQ(toml_value(Json(std::vector<std::string>(2, std::string(60, 'x')))),
            "[\n  \"" + std::string(60, 'x') + "\",\n  \"" + std::string(60, 'x') + "\",\n]");
  EXPECT_EQ(parse_toml("v = " + toml_value(-INFINITY), "v")["v"], -INFINITY);
}

TEST(Recipe, AValueIsWrittenAsItIsRead) {
  for (const char* text :
       {"3", "true", "0.001", "1e-30", "1.0", R"("a \" \\ b\né")", "[1, 2]", "[]", "[[1, 2], []]",
        R"([{"name": "left", "ids": [1, 2]}])", R"({"a": {"b c": 0.5}})"}) {
    const Json value = Json::parse(text);
    const std::string written = toml_value(value);
    EXPECT_EQ(parse_toml("v = " + written + "  # said\n", text)["v"], value) << written;
    EXPECT_EQ(parse_toml("v = " + written + "\n", text)["v"].is_number_float(), value.is_number_float());
  }
}

}  // namespace
}  // namespace mambaseg
