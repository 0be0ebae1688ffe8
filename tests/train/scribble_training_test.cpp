// Weak-Mamba-UNet's three networks on pictures whose masks are strokes.
#include <gtest/gtest.h>
#include <torch/utils.h>

#include <filesystem>

#include "mambaseg/data/scribbles.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/nets/model/members.h"
#include "mambaseg/train/trainer.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/task_settings.h"
#include "tests/train/training_states.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kEdge = 32;

/// Thrown by a callback: the process state is gone, as after a kill.
struct Killed {};

class ScribbleTraining : public testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    for (const char* part : {"train", "validation"})
      for (const char* kind : {"images", "masks"})
        fs::create_directories(folder / concat("data/", part, "/", kind));
    for (int i = 0; i < 8; ++i) draw_case(i, i < 6 ? "train" : "validation");
  }

  /// A red disc on grey; the masks that train are strokes, those that validate whole.
  void draw_case(int number, const std::string& part) const {
    Picture picture{kEdge, kEdge, 3, {}};
    PictureNumbers mask{kEdge, kEdge, {}, false};
    Random random(5, static_cast<uint64_t>(number));
    const double x0 = random.uniform(11, 21), y0 = random.uniform(11, 21);
    for (int64_t y = 0; y < kEdge; ++y)
      for (int64_t x = 0; x < kEdge; ++x) {
        const double dx = static_cast<double>(x) - x0, dy = static_cast<double>(y) - y0;
        const bool inside = dx * dx + dy * dy < 64;
        const auto noise = static_cast<int>(random.below(20));
        for (const int value : inside ? std::array{190, 80, 70} : std::array{120, 125, 130})
          picture.values.push_back(static_cast<uint8_t>(value + noise));
        mask.values.push_back(inside ? 255 : 0);
      }
    if (part == "train") mask = scribbles_of(mask, {.width = 2}, random);
    const std::string name = "disc" + std::to_string(number) + ".png";
    write_picture(folder / concat("data/", part, "/images/", name), picture);
    write_picture(folder / concat("data/", part, "/masks/", name),
                  {kEdge, kEdge, 1, {mask.values.begin(), mask.values.end()}});
  }

  TrainOptions options(const std::string& run, int64_t epochs) const {
    TrainOptions options;
    RunSettings& settings = options.settings;
    settings.task = AnyTask("pictures");
    settings.network = find_network("weak_mamba_unet").small;
    settings.network["name"] = "weak_mamba_unet";
    settings.network.erase("classes");
    settings.network["mamba_unet"]["drop_path"] = 0.2;
    PicturesTask& task = pictures_of(settings);
    task.plan.size = {kEdge, kEdge};
    task.plan.scores = "softmax";
    task.plan.ignore_label = 128;
    task.augment.flip = {0.5, 0.5};
    task.augment.rotation = 0.5;
    settings.loss = {{"name", "cross_pseudo_supervision"}};
    settings.data.dataset.folder = folder / "data";
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

TEST_F(ScribbleTraining, KilledInsideAnEpochGoesOnBitForBit) {
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
}

TEST_F(ScribbleTraining, EachNetworkLearnsTheWholeDiscsFromStrokes) {
  TrainOptions run = options("run", 40);
  Json best;
  run.on_line = [&](const Json& line) {
    if (line["event"] == "epoch" && line["best_epoch"] == line["epoch"]) best = line["validation"];
  };
  const TrainResult result = train(run);
  EXPECT_GT(result.best_dice, 0.8);
  const Model whole = load_model(result.best_path);
  const AnyTask task = task_of_model(whole.info.plan);
  std::vector<torch::Tensor> found;
  for (const char* member : {"swin_unet", "mamba_unet", "weakmamba_unet"}) {
    const Model model = member_of(whole, member);
    double dice = 0;
    for (const char* id : {"validation_disc6", "validation_disc7"}) {
      const PreparedCase one = load_prepared(folder / "cache", id);
      EXPECT_FALSE(one.classes_IJK.eq(kIgnoredClass).any().item<bool>()) << "whole masks validate";
      const torch::Tensor predicted = task->predict(*model.network, one, torch::kCPU);
      found.push_back(predicted);
      const double hits = (predicted.eq(1) & one.classes_IJK.eq(1)).sum().item<double>();
      dice += hits / (predicted.sum() + one.classes_IJK.sum()).item<double>();  // 2 TP / ..., the mean of two
    }
    EXPECT_GT(dice, 0.7) << member;
    EXPECT_NEAR(best["members"][member].get<double>(), dice, 1e-12) << member;
  }
  EXPECT_FALSE(torch::equal(found[0], found[2]));
  EXPECT_FALSE(torch::equal(found[2], found[4]));
}

TEST_F(ScribbleTraining, UnlabelledPixelsAreCountedAsNeither) {
  TrainOptions run = options("run", 1);
  run.settings.network = {{"name", "unet"}, {"widths", {4, 8}}};
  run.settings.loss = {{"name", "cross_entropy"}};
  train(run);
  const PreparedCase one = load_prepared(folder / "cache", "train_disc0");
  const auto count = [&](int64_t k) { return one.classes_IJK.eq(k).sum().item<int64_t>(); };
  EXPECT_GT(count(0), 0);
  EXPECT_GT(count(1), 0);
  EXPECT_EQ(count(0) + count(1) + count(kIgnoredClass), kEdge * kEdge);
}

}  // namespace
}  // namespace mambaseg
