#include <filesystem>

#include <gtest/gtest.h>

#include "mambaseg/losses/loss.h"
#include "mambaseg/train/task.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

Json recipe(const std::string& name) {
  return read_toml((fs::path(MAMBASEG_SOURCE_DIR) / "recipes" / (name + ".toml")).string());
}

TEST(Recipes, AllCanBeRun) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(MAMBASEG_SOURCE_DIR) / "recipes")) {
    if (entry.path().extension() != ".toml") continue;
    SCOPED_TRACE(entry.path());
    const RunSettings settings = resolved(from_json<RunSettings>(read_toml(entry.path().string())));
    const Task task = task_of(settings);
    EXPECT_FALSE(task.structures.empty());
    EXPECT_EQ(task.structures.size(), task.classes_of.size());
    EXPECT_NO_THROW(
        make_loss(settings.loss, loss_data(task, std::vector<double>(task.structures.size() + 1, 1.0))));
    ++count;
  }
  EXPECT_GE(count, 13);
}

TEST(Recipes, NetworksAreComparedUnderTheSettingsOfHymUnet) {
  Json expected = recipe("hym_unet_isic2018");
  expected.erase("network");
  for (const char* name :
       {"unet", "unet_se", "unet_cbam", "unet_mamba", "attention_unet", "ce_net", "vm_unet"}) {
    Json other = recipe(std::string(name) + "_isic2018");
    EXPECT_EQ(other["network"]["name"], name);
    other.erase("network");
    EXPECT_EQ(other, expected) << name;
  }
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

}  // namespace
}  // namespace mambaseg
