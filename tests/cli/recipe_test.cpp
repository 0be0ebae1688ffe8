// The command `recipe`, and recipes by name in the commands that take one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/config/recipe.h"
#include "tests/cli/program.h"
#include "tests/io/temporary_folder.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

TEST(RecipeCommand, ListsWhatTheProgramBrings) {
  const ProgramResult list = run_mambaseg("recipe");
  ASSERT_EQ(list.exit_code, 0) << list.err;
  EXPECT_EQ(size_t(std::count(list.out.begin(), list.out.end(), '\n')), built_in_recipes().size());
  EXPECT_THAT(list.out, testing::ContainsRegex("\nunet_isic2018 +U-Net on ISIC 2018"));
}

TEST(RecipeCommand, PrintsARecipeThatItTakesAgain) {
  const TemporaryFolder folder;
  const ProgramResult printed = run_mambaseg("recipe unet_kvasir_small --set training.epochs=3");
  ASSERT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_EQ(printed.err, "");
  write_bytes(folder / "mine.toml", printed.out);
  const ProgramResult again = run_mambaseg("recipe " + (folder / "mine.toml"));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(parse_toml(again.out, "again"), parse_toml(printed.out, "printed"));
  EXPECT_EQ(parse_toml(again.out, "again")["training"]["epochs"], 3);
}

TEST(RecipeCommand, AnUnknownNameIsAnErrorEverywhere) {
  const TemporaryFolder folder;
  const std::string out = " -o " + (folder / "out");
  for (const std::string& words : {std::string("recipe unet_isic"), "train unet_isic" + out,
                                   "plan unet_isic" + out, "prepare unet_isic" + out}) {
    const ProgramResult result = run_mambaseg(words);
    EXPECT_EQ(result.exit_code, 2) << words;
    EXPECT_THAT(result.err, HasSubstr("error: no recipe is called unet_isic, did you mean unet_isic2018?"))
        << words;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
}

TEST(RecipeCommand, PlanFindsARecipeByItsName) {
  const ProgramResult result =
      run_mambaseg("plan plain_unet_atlas --set data.dataset.folder=/nowhere -o /nowhere");
  EXPECT_THAT(result.err, HasSubstr("/nowhere")) << "the recipe was read, the data are not there";
  EXPECT_EQ(result.exit_code, 1);
}

TEST(RecipeCommand, APlanForAnotherNetworkIsRefused) {
  const TemporaryFolder folder;
  const std::string plan = folder / "plan.json";
  write_bytes(plan,
              R"({"network": {"name": "plain_unet", "in_channels": 3}, "plan": {"patch": [32, 32, 32]}})");
  const ProgramResult other = run_mambaseg("recipe umamba_bot_msd_hippocampus --plan " + plan);
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err,
              HasSubstr("a plan for the network plain_unet, but umamba_bot_msd_hippocampus trains umamba"));
  const ProgramResult same = run_mambaseg(
      "recipe umamba_bot_msd_hippocampus --set network.name=plain_unet --set 'network.features=[4, 8]' "
      "--plan " +
      plan);
  ASSERT_EQ(same.exit_code, 0) << same.err;
  EXPECT_THAT(same.out, testing::ContainsRegex("\npatch +=.*32.*# " + plan + "\n"));
  EXPECT_THAT(same.out, testing::ContainsRegex("\nin_channels += 3 +# " + plan + "\n"));
  EXPECT_THAT(same.out, testing::ContainsRegex("\nfeatures +=.*8.*# --set\n"));
}

}  // namespace
}  // namespace mambaseg
