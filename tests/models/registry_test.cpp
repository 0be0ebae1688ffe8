#include "mambaseg/models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/io/temporary_folder.h"
#include "tests/models/drawn_model.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const Json kPlan{
    {"conform", "none"},
    {"orientation", "RAS"},
    {"patch", {16, 16, 16}},
    {"classes", {{{"name", "Left-Ball"}, {"ids", {10}}}, {{"name", "Right-Ball"}, {"ids", {49}}}}}};

template <class Kind, class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Kind& error) {
    return error.what();
  }
  return "";
}

class Registry : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "box/balls");
    write_drawn_weights(folder_ / "box/balls/balls.safetensors", "medsegmamba", kPlan, 3, 1);
    write_card("box/balls", "volumes", stage_table(folder_ / "box/balls", "balls.safetensors"));
  }
  void write_card(const std::string& where, const std::string& task, const std::string& tables) {
    write_bytes(folder_ / (where + "/model.toml"), card_text(task, tables));
  }

  TemporaryFolder folder_;
  std::vector<std::string> box_{folder_ / "elsewhere", folder_ / "box"};
};

TEST_F(Registry, FindsAModelByNameByCardAndByWeights) {
  ASSERT_EQ(models_in(box_).size(), 1u);
  for (const std::string& word :
       {std::string("balls"), folder_ / "box/balls/model.toml", folder_ / "box/balls"}) {
    const ModelInBox model = find_model({word}, box_);
    EXPECT_EQ(model.name, "balls");
    EXPECT_EQ(model.weights, std::vector<std::string>{folder_ / "box/balls/balls.safetensors"});
    EXPECT_EQ(model.card.version, "1.0");
    check_weights(model);
    EXPECT_EQ(task_of(model), "volumes");
  }
  const ModelInBox bare = find_model({folder_ / "box/balls/balls.safetensors"}, {});
  EXPECT_FALSE(bare.has_card);
  EXPECT_EQ(bare.name, "balls");
  EXPECT_EQ(model_for_task("volumes", box_).name, "balls");
}

TEST_F(Registry, AnEarlierFolderHidesALaterOne) {
  fs::create_directories(folder_ / "elsewhere");
  fs::copy(folder_ / "box/balls", folder_ / "elsewhere/balls");
  ASSERT_EQ(models_in(box_).size(), 1u);
  EXPECT_THAT(find_model({"balls"}, box_).weights.front(), HasSubstr("elsewhere"));
}

TEST_F(Registry, OtherWeightsThanTheCardNamesAreRefusedInOneLine) {
  const std::string path = folder_ / "box/balls/balls.safetensors";
  std::string bytes = read_bytes(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_bytes(path, bytes);
  const std::string error = error_of<Error>([&] { check_weights(find_model({"balls"}, box_)); });
  EXPECT_THAT(error, HasSubstr(path + ": these are not the weights that the card of balls names"));
  EXPECT_THAT(error, testing::Not(HasSubstr("\n")));
  fs::remove(path);
  EXPECT_THAT(error_of<Error>([&] { check_weights(find_model({"balls"}, box_)); }), HasSubstr("not there"));
}

TEST_F(Registry, NamesThatAreNotThereAndCardsThatMakeNoSense) {
  EXPECT_THAT(error_of<UsageError>([&] { find_model({"bals"}, box_); }), HasSubstr("did you mean balls?"));
  EXPECT_THAT(error_of<UsageError>([&] { model_for_task("pictures", box_); }),
              HasSubstr("no model for pictures"));
  const std::string stage = stage_table(folder_ / "box/balls", "balls.safetensors");
  write_card("box/balls", "pictures", stage);
  EXPECT_THAT(error_of<Error>([&] { task_of(find_model({"balls"}, box_)); }),
              HasSubstr("the weights are for volumes, the card of balls says pictures"));
  write_card("box/balls", "volumes", "");
  EXPECT_THAT(error_of<UsageError>([&] { find_model({"balls"}, box_); }), HasSubstr("stages"));
  write_card("box/balls", "volumes", "[[stages]]\nfile = \"../balls.safetensors\"\nsha256 = \"12\"\n");
  EXPECT_THAT(error_of<UsageError>([&] { find_model({"balls"}, box_); }), HasSubstr("beside the card"));
  write_card("box/balls", "volumes", "[[stages]]\nfile = \"balls.safetensors\"\nsha256 = \"12\"\n");
  EXPECT_THAT(error_of<UsageError>([&] { find_model({"balls"}, box_); }), HasSubstr("64 digits"));
  write_card("box/balls", "volumes", stage + "[limits]\nagrement = 0.5\n");
  EXPECT_THAT(error_of<UsageError>([&] { find_model({"balls"}, box_); }), HasSubstr("agreement"));
}

TEST_F(Registry, SeveralModelsForOneTaskMustBeNamed) {
  fs::copy(folder_ / "box/balls", folder_ / "box/more-balls");
  EXPECT_THAT(error_of<UsageError>([&] { model_for_task("volumes", box_); }), HasSubstr("balls, more-balls"));
}

TEST_F(Registry, TheCardSaysWhatTheWeightsKnow) {
  write_card(
      "box/balls", "volumes",
      stage_table(folder_ / "box/balls", "balls.safetensors") +
          "[[training]]\ndata = \"drawn balls\"\nlicence = \"CC0\"\nsource = \"here\"\n"
          "[[scores]]\ndata = \"other balls\"\nmetric = \"Dice\"\nstructure = \"mean\"\nvalue = 0.875\ncases "
          "= 7\n[limits]\nagreement = 0.8\n");
  const std::string page = card_page(find_model({"balls"}, box_));
  for (const char* words : {"# balls", "Segments drawn things", "medsegmamba", "M parameters", "16 x 16 x 16",
                            "Left-Ball (10), Right-Ball (49)", "drawn balls. Licence: CC0",
                            "Dice 0.875, mean: other "
                            "balls, n = 7",
                            "everything", "Nobody 2020", "`agreement` = 0.8"})
    EXPECT_THAT(page, HasSubstr(words));
  EXPECT_THAT(page, testing::Not(HasSubstr("ct_share")));  // what is off is left out
}

}  // namespace
}  // namespace mambaseg
