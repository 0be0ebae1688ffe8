#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include "mambaseg/ops/autocast.h"
#include "mambaseg/tasks/pictures/picture_predictor.h"
#include "mambaseg/train/trainer.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/task_settings.h"
#include "tests/train/training_states.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// Thrown by a callback: the process state is gone, as after a kill.
struct Killed {};

class PictureTraining : public testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    for (const char* sub : {"data", "data/images", "data/masks"}) fs::create_directory(folder / sub);
    for (int i = 0; i < 10; ++i) draw_case(i);
  }

  /// A red disc on grey, at places that depend on `number`; its mask a JPEG.
  void draw_case(int number) const {
    Picture picture{40, 36, 3, {}}, mask{40, 36, 1, {}};
    Random random(5, static_cast<uint64_t>(number));
    const double x0 = random.uniform(12, 28), y0 = random.uniform(12, 24);
    for (int y = 0; y < 36; ++y)
      for (int x = 0; x < 40; ++x) {
        const bool inside = (x - x0) * (x - x0) + (y - y0) * (y - y0) < 64;
        const auto noise = static_cast<uint8_t>(random.below(20));
        for (const int value : inside ? std::array{190, 80, 70} : std::array{120, 125, 130})
          picture.values.push_back(static_cast<uint8_t>(value + noise));
        mask.values.push_back(inside ? 255 : 0);
      }
    const std::string name = "disc" + std::to_string(number);
    write_picture(folder / ("data/images/" + name + ".png"), picture);
    write_picture(folder / ("data/masks/" + name + ".jpg"), mask);
  }

  TrainOptions options(const std::string& run, int64_t epochs) const {
    TrainOptions options;
    RunSettings& settings = options.settings;
    settings.task = AnyTask("pictures");
    settings.network = {{"name", "hym_unet"},
                        {"widths", {4, 8, 16, 32}},
                        {"depths", {1, 1, 1, 1}},
                        {"states", 2},
                        {"drop_path", 0.2}};
    pictures_of(settings).plan.size = {32, 32};
    pictures_of(settings).augment.flip = {0.5, 0.5};
    pictures_of(settings).augment.rotation = 0.5;
    settings.loss = {{"name", "dice_bce_boundary"}, {"radius", 1}};
    settings.data.dataset.folder = folder / "data";
    settings.data.split.validation_fraction = settings.data.split.test_fraction = 0.2;
    settings.data.cache = folder / "cache";
    settings.training.epochs = epochs;
    settings.training.batch = 3;
    settings.training.learning_rate = 1e-2;
    settings.training.seed = 4;
    settings.schedule.first_period = 100;
    options.folder = folder / run;
    return options;
  }

  TemporaryFolder folder;
};

TEST_F(PictureTraining, StartsFromTheWeightsThatFit) {
  train(options("first", 1));
  TrainOptions second = options("second", 1);
  second.settings.training.start = folder / "first/best.safetensors";
  second.settings.training.learning_rate = 0;  // so that nothing moves
  second.settings.schedule.kind = "constant";
  second.settings.training.seed = 9;
  std::string told;
  second.note = [&](const std::string& line) { told += line; };
  train(second);
  expect_same_weights(folder / "first/best.safetensors", folder / "second/last.safetensors");
  EXPECT_THAT(told, testing::HasSubstr("first/best.safetensors: "));
  EXPECT_THAT(told, testing::HasSubstr("from weights of the same names"));
  EXPECT_THAT(told, testing::Not(testing::HasSubstr("stay as they were")));

  TrainOptions other = options("other", 1);
  other.settings.network = {{"name", "unet"}, {"widths", {4, 8, 16}}};
  other.settings.training.start = folder / "first/best.safetensors";
  try {
    train(other);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("nothing of it fits the network unet"));
  }
}

TEST_F(PictureTraining, LearnsDiscsAndTheModelIsAllThatPredictionNeeds) {
  const TrainResult result = train(options("run", 60));
  EXPECT_GT(result.best_dice, 0.8);
  const Json split = read_json(folder / "run/split.json");
  EXPECT_EQ(split["train"].size(), 6u);
  EXPECT_EQ(split["validation"].size(), 2u);
  ASSERT_EQ(split["test"].size(), 2u);
  const PicturePredictor predictor = PicturePredictor::load({result.best_path}, torch::kCPU);
  const std::string test = split["test"][0];
  const Picture picture = read_picture(folder / ("data/images/" + test + ".png"));
  const Picture mask = read_picture(folder / ("data/masks/" + test + ".jpg"));
  const auto p = predictor.votes({{picture}, {picture}});
  ASSERT_EQ(p.size(), 2u);
  EXPECT_EQ(p[0].sizes(), (std::vector<int64_t>{1, 36, 40}));
  EXPECT_TRUE(torch::allclose(p[0], p[1], 1e-5, 1e-5));
  double overlap = 0, sizes = 0;
  for (int64_t i = 0; i < 36 * 40; ++i) {
    const bool predicted = p[0].flatten()[i].item<float>() >= 0.5f,
               labelled = mask.values[static_cast<size_t>(i)] > 127;
    overlap += predicted && labelled;
    sizes += predicted + labelled;
  }
  EXPECT_GT(2 * overlap / sizes, 0.7);
  std::ifstream journal(folder / "run/journal.jsonl");
  bool waited = false;
  for (std::string line; std::getline(journal, line);)
    waited = waited || Json::parse(line).value("waited_for_data_s", -1.0) >= 0;
  EXPECT_TRUE(waited);
}

TEST_F(PictureTraining, OnTheGpuLearnsDiscsAndPredictsAsTheCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  allow_tf32(false);
  TrainOptions on_gpu = options("run", 60);
  on_gpu.device = torch::kCUDA;
  const TrainResult result = train(on_gpu);
  EXPECT_GT(result.best_dice, 0.8);
  const std::vector<PictureChannels> pictures{{read_picture(folder / "data/images/disc0.png")}};
  const auto of = [&](torch::Device device) {
    return PicturePredictor::load({result.best_path}, device).votes(pictures)[0];
  };
  EXPECT_TRUE(torch::allclose(of(torch::kCUDA), of(torch::kCPU), 1e-4, 1e-4));
}

TEST_F(PictureTraining, KilledInsideAnEpochGoesOnBitForBit) {
  train(options("whole", 3));
  TrainOptions first = options("killed", 3);
  first.settings.training.save_every_steps = 1;
  first.on_line = [](const Json& line) {
    if (line["event"] == "step" && line["epoch"] == 1 && line["step"] == 1) throw Killed{};
  };
  EXPECT_THROW(train(first), Killed);
  TrainOptions rest = options("killed", 3);
  rest.settings.training.save_every_steps = 1;
  rest.resume = true;
  train(rest);
  expect_same_training_state(folder / "whole", folder / "killed");
  expect_same_weights(folder / "whole/best.safetensors", folder / "killed/best.safetensors");
}

TEST_F(PictureTraining, RefusesSizesThatTheNetworkCannotTake) {
  TrainOptions odd = options("run", 1);
  pictures_of(odd.settings).plan.size = {32, 40};
  try {
    train(odd);
    ADD_FAILURE();
  } catch (const UsageError& error) {
    EXPECT_THAT(
        error.what(),
        testing::HasSubstr("plan.size does not fit the network hym_unet: expected multiples of 32 x 32"));
  }
}

TEST_F(PictureTraining, PredictorRefusesModelsOfVolumes) {
  train(options("run", 1));
  const Model model = load_model(folder / "run/best.safetensors");
  EXPECT_STREQ(task_of_model(model.info.plan)->name(), "pictures");
  EXPECT_STREQ(task_of_model(ModelInfo().plan)->name(), "volumes");
  PicturePlan grey;
  grey.channels = 1;
  EXPECT_THROW(PicturePredictor({model}, grey, torch::kCPU), UsageError);
}

/// Every network of two dimensions, on pictures of two channels in two files, with three classes.
class PicturesForEachNetwork : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    for (const char* sub : {"data", "data/images", "data/masks"}) fs::create_directory(folder_ / sub);
    for (const char* name : {"a", "b"}) {
      Picture first{64, 64, 1, std::vector<uint8_t>(64 * 64, 50)}, second = first, mask = first;
      for (size_t i = 0; i < mask.values.size(); ++i) {
        const size_t x = i % 64;
        first.values[i] = x < 20 ? 200 : static_cast<uint8_t>(i % 7);
        second.values[i] = x > 40 ? 150 : static_cast<uint8_t>(i % 5);
        mask.values[i] = x < 20 ? 1 : x > 40 ? 2 : 0;
      }
      write_picture(folder_ / concat("data/images/", name, "_0000.png"), first);
      write_picture(folder_ / concat("data/images/", name, "_0001.png"), second);
      write_picture(folder_ / concat("data/masks/", name, ".png"), mask);
    }
  }
  TemporaryFolder folder_;
};

TEST_P(PicturesForEachNetwork, AStepRuns) {
  const NetworkEntry& entry = networks()[GetParam()];
  TrainOptions options;
  RunSettings& settings = options.settings;
  settings.task = AnyTask("pictures");
  PicturePlan& plan = pictures_of(settings).plan;
  plan.size = {64, 64};
  plan.channels = plan.files = 2;
  plan.classes = {{"left", {1}}, {"right", {2}}};
  settings.network = entry.small;
  settings.network.erase("classes");
  settings.network.erase("in_channels");
  settings.network["name"] = entry.name;
  settings.data.dataset.folder = folder_ / "data";
  settings.data.split.validation = {"b"};
  settings.training.epochs = 1;
  options.folder = folder_ / "run";
  double loss = -1;
  options.on_line = [&](const Json& line) { loss = line.value("loss", loss); };
  ASSERT_NO_THROW(train(options));
  EXPECT_GT(loss, 0);
  EXPECT_EQ(load_model(folder_ / "run/last.safetensors").info.network["classes"], 3);
}

TEST_F(PictureTraining, NetworksThatDoNotFitAreNamed) {
  const auto refusal = [&](const Json& network) {
    RunSettings settings = options("none", 1).settings;
    settings.network = network;
    try {
      resolved(settings);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal({{"name", "medsegmamba"}}), testing::HasSubstr("does not work in 2 dimensions"));
  EXPECT_THAT(refusal({{"name", "plain_unet"}}), testing::HasSubstr("plan.scores = \"softmax\""));
}

std::vector<size_t> networks_of_pictures() {
  std::vector<size_t> found;
  for (size_t i = 0; i < networks().size(); ++i) {
    const auto& dims = networks()[i].dims;
    if (std::find(dims.begin(), dims.end(), 2) != dims.end()) found.push_back(i);
  }
  return found;
}

INSTANTIATE_TEST_SUITE_P(Networks, PicturesForEachNetwork, testing::ValuesIn(networks_of_pictures()),
                         [](const auto& info) { return networks()[info.param].name; });

TEST_F(PictureTraining, ClassesInColoursAreLearnedAndWrittenInThem) {
  for (int i = 0; i < 10; ++i) {  // the rim of the disc in red, its core in green
    const std::string name = "disc" + std::to_string(i);
    const Picture mask = read_picture(folder / ("data/masks/" + name + ".jpg"));
    const auto inside = [&](int64_t x, int64_t y) {
      return mask.values[static_cast<size_t>(y * mask.width + x)] > 127;
    };
    Picture coloured{mask.width, mask.height, 3, {}};
    for (int64_t y = 0; y < mask.height; ++y)
      for (int64_t x = 0; x < mask.width; ++x) {
        const bool here = inside(x, y), core = here && inside(x - 3, y) && inside(x + 3, y) &&
                                               inside(x, y - 3) && inside(x, y + 3);
        for (const int value : {here && !core ? 255 : 0, core ? 255 : 0, 0})
          coloured.values.push_back(static_cast<uint8_t>(value));
      }
    fs::remove(folder / ("data/masks/" + name + ".jpg"));
    write_picture(folder / ("data/masks/" + name + ".png"), coloured);
  }
  TrainOptions run = options("run", 60);
  PicturesTask& task = pictures_of(run.settings);
  task.plan.classes = {{"rim", {1}}, {"core", {2}}};
  task.plan.colours = {{"#ff0000", 1}, {"#00ff00", 2}};
  task.augment = {};
  run.settings.network = {{"name", "unet"}, {"widths", {8, 16, 32}}};  // at full resolution, for the rim
  run.settings.loss = {{"name", "dice_cross_entropy"}};
  const TrainResult result = train(run);
  EXPECT_GT(result.best_dice, 0.6);
  PredictRequest request;
  request.models = {result.best_path};
  request.inputs = {folder / "data/images/disc3.png"};
  request.output = folder / "out.png";
  request.probability = true;
  task_of_model(load_model(result.best_path).info.plan)
      ->predict_files(request, {nullptr, [](auto&) {}, [](auto&) {}});
  const PictureNumbers written = read_picture_numbers(folder / "out.png", mask_colours(task.plan.colours));
  EXPECT_GT(std::count(written.values.begin(), written.values.end(), 1), 20);
  EXPECT_GT(std::count(written.values.begin(), written.values.end(), 2), 20);
  EXPECT_TRUE(fs::exists(folder / "out_probability_class2.png"));
}

}  // namespace
}  // namespace mambaseg
