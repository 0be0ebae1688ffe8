#include <algorithm>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/io/image.h"
#include "mambaseg/losses/loss.h"
#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/train/explained_recipe.h"
#include "mambaseg/train/run.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

Json recipe(const std::string& name) { return read_recipe(name).settings(); }

TEST(Recipes, AllCanBeRun) {
  for (const BuiltInRecipe& one : built_in_recipes()) {
    SCOPED_TRACE(one.name);
    const RunSettings settings = resolved(run_settings(read_recipe(one.name)));
    const LearnedLabels labels = settings.task->labels();
    EXPECT_FALSE(labels.structures.empty());
    EXPECT_EQ(labels.structures.size(), labels.classes_of.size());
    EXPECT_NO_THROW(
        make_loss(settings.loss, loss_data(labels, std::vector<double>(labels.structures.size() + 1, 1.0))));
    const auto network = settings.network["name"].get<std::string>();
    if (std::string(one.name) != "demo") {
      EXPECT_THAT(one.name, testing::AnyOf(network, testing::StartsWith(network + "_")));
    }
    const UnfilledWeightsGuard unfilled;
    EXPECT_EQ(make_network(settings.network)->misfit(settings.task->input_edges()), "");
  }
}

// What recipes/zoo names of a network, but for what the data decide, leaves the published network.
TEST(Recipes, OfTheZooHaveThePublishedNetworks) {
  const UnfilledWeightsGuard unfilled;
  int found = 0;
  for (const BuiltInRecipe& one : built_in_recipes()) {
    const auto& all = networks();
    const auto entry =
        std::find_if(all.begin(), all.end(), [&](const NetworkEntry& each) { return each.name == one.name; });
    if (entry == all.end()) continue;
    ++found;
    Json network = resolved(run_settings(read_recipe(one.name))).network;
    for (const char* of_data : {"in_channels", "classes"}) network[of_data] = entry->settings()[of_data];
    const int64_t published =
        entry->name == "swin_unetr" ? 62'187'296 : entry->parameters;  // there 48 channels, as in the paper
    EXPECT_EQ(parameter_count(*make_network(network)), published) << one.name;
  }
  EXPECT_GE(found, 20);
}

TEST(Recipes, PicturesHaveOneMapOfScores) {
  const RunSettings settings = resolved(from_json<RunSettings>(recipe("hym_unet_isic2018")));
  EXPECT_EQ(settings.network["classes"], 1);
  EXPECT_EQ(settings.network["in_channels"], 3);
  EXPECT_EQ(settings.training.patches_per_step, 24);
  Json two = recipe("unet_isic2018");
  two["network"]["classes"] = 2;
  EXPECT_THROW(resolved(from_json<RunSettings>(two)), UsageError);
  Json volumes = recipe("unet_isic2018");
  volumes["sampling"]["kind"] = "grid";  // of the other task
  EXPECT_THROW(from_json<RunSettings>(volumes), UsageError);
}

TEST(Recipes, ARunWritesARecipeThatReadsBack) {
  for (const char* name : {"hym_unet_kvasir", "medsegmamba_hippocampus"}) {
    const Json written = to_json(resolved(from_json<RunSettings>(recipe(name))));
    EXPECT_EQ(to_json(from_json<RunSettings>(parse_toml(to_toml(written), name))), written) << name;
  }
}

TEST(Recipes, ErrorsNameTheFileThatHasTheSetting) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& below, const std::string& above, const char* set) {
    write_bytes(folder / "below.toml", below);
    write_bytes(folder / "above.toml", "extends = \"below.toml\"\n" + above);
    try {
      Recipe read = read_recipe(folder / "above.toml");
      set_in_recipe(read, {set});
      run_settings(read);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const char* fine = "training.epochs=3";
  EXPECT_EQ(refusal("", "", fine), "");
  EXPECT_EQ(refusal("training.epoch = 1", "", fine),
            folder / "below.toml: unknown key `training.epoch`, did you mean `training.epochs`?");
  EXPECT_EQ(refusal("", "training.epochs = 0", fine),
            folder / "above.toml: setting training.epochs: expected at least 1, got 0");
  EXPECT_EQ(refusal("", "", "training.epochs=0"),
            "--set: setting training.epochs: expected at least 1, got 0");
  EXPECT_EQ(refusal("plan.structure = \"polyp\"", "task = \"pictures\"", fine), "")
      << "what [plan] may hold follows from the task of the whole";
}

TEST(Recipes, AnotherNetworkOnTheCommandLineBeginsAnew) {
  Recipe read = read_recipe("hym_unet_isic2018");
  set_in_recipe(read, {"network.widths=[8, 16, 32, 64, 128]", "network.name=unet"});
  EXPECT_EQ(read.settings()["network"], Json::parse(R"({"name": "unet", "widths": [8, 16, 32, 64, 128]})"));
}

/// The line of `key` in its table.
std::string line_of(const std::string& text, const std::string& table, const std::string& key) {
  const size_t begin = text.find("\n[" + table + "]");
  if (begin == std::string::npos) return "no table " + table;
  const std::string part = text.substr(begin, text.find("\n\n", begin) - begin);
  size_t at = part.find("\n" + key + " ");
  if (at == std::string::npos) return "no key " + key;
  return part.substr(at + 1, part.find('\n', at + 1) - at - 1);
}

TEST(Recipes, ExplainedIsARecipeWithTheSameSettings) {
  for (const char* name : {"vm_unet_isic2018", "umamba_bot_msd_hippocampus", "medsegmamba_hippocampus"}) {
    SCOPED_TRACE(name);
    const std::string text = explained(read_recipe(name));
    const Json settings = to_json(resolved(run_settings(read_recipe(name))));
    EXPECT_EQ(parse_toml(text, name), settings);
    const TemporaryFolder folder;
    write_bytes(folder / "again.toml", text);
    EXPECT_EQ(to_json(resolved(run_settings(read_recipe(folder / "again.toml")))), settings);
  }
}

TEST(Recipes, ExplainedSaysWhereValuesComeFromAndWhatTheyMean) {
  Recipe read = read_recipe("vm_unet_isic2018");
  set_in_recipe(read, {"training.epochs=7"});
  const std::string text = explained(read);
  EXPECT_THAT(line_of(text, "training", "epochs"), ContainsRegex("^epochs +=  *7 +# --set$"));
  EXPECT_THAT(line_of(text, "training", "momentum"), ContainsRegex("= 0.99 +# default$"));
  EXPECT_THAT(line_of(text, "training", "batch"), ContainsRegex("= 24 +# hym_unet_isic2018$"));
  EXPECT_THAT(line_of(text, "training", "patches_per_step"), ContainsRegex("= 24 +# batch$"));
  EXPECT_THAT(line_of(text, "network", "drop_path"), ContainsRegex("= 0.2 +# vm_unet_isic2018$"));
  EXPECT_THAT(line_of(text, "network", "classes"), ContainsRegex("= 1 +# \\[plan\\]$"));
  EXPECT_THAT(line_of(text, "network", "depths"), ContainsRegex("# paper$"));
  EXPECT_THAT(line_of(text, "loss", "band"), ContainsRegex("# hym_unet_isic2018$"));
  EXPECT_THAT(text, HasSubstr("\n  # passes over the training cases (at least 1)\n"));
  EXPECT_THAT(text, HasSubstr("\n[training]  # optimiser and the length of the run\n"));
  EXPECT_THAT(text, Not(HasSubstr("[sampling]")));
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    EXPECT_LE(text.find('\n', at) - at, 120u) << text.substr(at, 130);
}

TEST(Recipes, ExplainedSaysWhatTheDatasetDecides) {
  const TemporaryFolder folder;
  for (const char* sub : {"imagesTr", "labelsTr"}) fs::create_directory(folder / sub);
  Geometry geometry;
  geometry.size = {4, 4, 4};
  for (const char* channel : {"0000", "0001"})
    write_volume(folder / concat("imagesTr/one_", channel, ".nii.gz"), Volume<float>(geometry));
  write_labels(folder / "labelsTr/one.nii.gz", Volume<int32_t>(geometry));
  write_bytes(folder / "dataset.json",
              R"({"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "cyst": 1},
                  "file_ending": ".nii.gz"})");
  write_bytes(folder / "splits_final.json", R"([{"train": ["one"], "val": []}])");
  Recipe read{"mine", {{"mine.toml", {{"network", {{"name", "plain_unet"}, {"features", {4, 8}}}}}}}};
  set_in_recipe(read, {"data.dataset.folder=" + folder.string()});
  const std::string text = explained(read);
  EXPECT_THAT(line_of(text, "plan", "classes"), HasSubstr("# " + folder / "dataset.json"));
  EXPECT_THAT(line_of(text, "plan", "classes"), HasSubstr("\"cyst\""));
  EXPECT_THAT(line_of(text, "data.split", "file"), HasSubstr("# " + folder / "splits_final.json"));
  EXPECT_THAT(line_of(text, "network", "in_channels"), ContainsRegex("= 2 +# images$"));
  EXPECT_THAT(line_of(text, "network", "features"), ContainsRegex("# mine.toml$"));
  EXPECT_THAT(line_of(text, "network", "classes"), ContainsRegex("= 2 +# .plan.$"));
}

TEST(Recipes, ExplainedRefusesWhatCannotBeMade) {
  const auto refusal = [](const std::string& name, const char* set) {
    try {
      Recipe read = read_recipe(name);
      set_in_recipe(read, {set});
      explained(read);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal("unet_isic2018", "network.name=unit"), HasSubstr("did you mean unet?"));
  EXPECT_THAT(refusal("unet_isic2018", "network.width=[8]"), HasSubstr("did you mean `widths`?"));
  EXPECT_THAT(refusal("unet_isic2018", "loss.name=dise"), HasSubstr("did you mean `dice`?"));
  EXPECT_THAT(refusal("unet_isic2018", "loss.bcd_weight=2"), HasSubstr("did you mean `loss.bce_weight`?"));
}

}  // namespace
}  // namespace mambaseg
