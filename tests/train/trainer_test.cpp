#include "mambaseg/train/trainer.h"

#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include "mambaseg/config/config.h"
#include "mambaseg/io/image.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/ops/autocast.h"
#include "tests/io/temporary_folder.h"
#include "tests/train/drawn_boxes.h"
#include "tests/train/task_settings.h"
#include "tests/train/training_states.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Thrown by a callback: the process state is gone, as after a kill.
struct Killed {};

class TrainerTest : public testing::Test {
 protected:
  TrainerTest() {
    torch::set_num_threads(1);
    fs::create_directories(folder_ / "data/images");
    fs::create_directories(folder_ / "data/labels");
    for (int i = 0; i < 3; ++i) draw_case(i);
  }

  /// A bright and a dark box in a grey block, at places that depend on `number`.
  void draw_case(int number) const {
    const std::string name = "case" + std::to_string(number) + ".nii.gz";
    draw_boxes(file("data/images", name), file("data/labels", name), {20, 18, 17}, 40,
               {{{2 + number, 3, 4}, {6, 6, 6}, 90, 10}, {{11, 8 + number, 9}, {6, 6, 6}, 10, 20}});
  }

  /// A network with dropout and drop path, so that their random numbers matter too.
  TrainOptions options(const std::string& run, int64_t epochs) const {
    TrainOptions options;
    RunSettings& settings = options.settings;
    settings.network = {{"name", "medsegmamba"}, {"widths", {8, 8, 8, 8}}, {"token_width", 8}, {"layers", 2},
                        {"states", 2},           {"drop_path", 0.3}};
    volumes_of(settings).plan.conform = "none";
    volumes_of(settings).plan.orientation = "RAS";
    volumes_of(settings).plan.patch = {16, 16, 16};
    volumes_of(settings).plan.classes = {{"bright", {10}}, {"dark", {20}}};
    settings.data.dataset.folder = (folder_ / "data").string();
    settings.data.split.validation = {"case2"};
    settings.data.cache = (folder_ / "cache").string();
    volumes_of(settings).sampling.kind = "random";
    volumes_of(settings).sampling.patches_per_case = 3;
    volumes_of(settings).augment.flip = {0, 0.5, 0};
    volumes_of(settings).augment.spatial = 0.5;
    volumes_of(settings).augment.noise = 0.01;
    settings.training.epochs = epochs;
    settings.training.learning_rate = 5e-3;
    settings.training.patches_per_step = 2;
    settings.training.seed = 11;
    settings.schedule.first_period = 3;
    options.folder = (folder_ / run).string();
    return options;
  }

  std::string file(const std::string& run, const std::string& name) const {
    return (folder_ / run / name).string();
  }

  void expect_same_state(const std::string& a, const std::string& b) const {
    expect_same_training_state((folder_ / a).string(), (folder_ / b).string());
  }

  std::vector<Json> journal(const std::string& run) const {
    std::vector<Json> lines;
    std::ifstream in(file(run, "journal.jsonl"));
    for (std::string line; std::getline(in, line);) {
      Json json = Json::parse(line);
      for (const char* time : {"seconds", "patches_per_s", "waited_for_data_s", "peak_memory_mib"})
        json.erase(time);
      if (json.contains("validation")) json["validation"].erase("seconds");
      lines.push_back(json);
    }
    return lines;
  }

  std::string refusal(const TrainOptions& options) const {
    try {
      train(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  const TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.string();
};

TEST_F(TrainerTest, LearnsAndKeepsTheBestEpoch) {
  const TrainResult result = train(options("run", 8));
  const auto lines = journal("run");
  ASSERT_EQ(lines.size(), 1 + 8 * (3 + 1));
  EXPECT_EQ(lines[0]["event"], "start");
  std::vector<Json> epochs;
  double best = -1;
  for (const Json& line : lines)
    if (line["event"] == "epoch") {
      epochs.push_back(line);
      best = std::max(best, line["validation"]["dice"].get<double>());
    }
  EXPECT_LT(epochs.back()["loss"], epochs.front()["loss"]);
  EXPECT_EQ(result.best_dice, best);
  EXPECT_EQ(epochs[static_cast<size_t>(result.best_epoch)]["validation"]["dice"], best);
  EXPECT_TRUE(epochs[0]["validation"]["classes"].contains("bright"));
  const Model model = load_model(result.best_path);
  EXPECT_EQ(model.info.plan["classes"][1]["name"], "dark");
  EXPECT_EQ(model.info.network["classes"], 3);
  EXPECT_EQ(model.info.recipe["training"]["seed"], 11);
  EXPECT_EQ(read_toml(file("run", "recipe.toml"))["training"]["epochs"], 8);
}

TEST_F(TrainerTest, WhatIsComputedAgainGivesTheSameWeightsBitForBit) {
  train(options("keeps", 2));
  TrainOptions again = options("again", 2);
  again.settings.training.recompute = true;
  train(again);
  expect_same_state("again", "keeps");
}

TEST_F(TrainerTest, RefusesToComputeAgainWhatHasNoBlocksOrMeetsOtherProcesses) {
  TrainOptions refused = options("run", 1);
  refused.settings.training.recompute = true;
  refused.settings.training.synchronise_batch_norm = true;
  EXPECT_THAT(refusal(refused), HasSubstr("got training.synchronise_batch_norm"));
  refused.settings.training.synchronise_batch_norm = false;
  refused.settings.network = {{"name", "mambavesselnet"}};
  EXPECT_THAT(refusal(refused), HasSubstr("network mambavesselnet: training.recompute: expected blocks"));
}

TEST_F(TrainerTest, ResumedRunEqualsTheUninterruptedOneBitForBit) {
  train(options("whole", 4));
  train(options("parts", 2));
  TrainOptions rest = options("parts", 4);
  rest.resume = true;
  train(rest);
  expect_same_state("whole", "parts");
  expect_same_weights(file("whole", "best.safetensors"), file("parts", "best.safetensors"));
  EXPECT_EQ(journal("whole"), journal("parts"));
}

TEST_F(TrainerTest, KilledInsideAnEpochGoesOnBitForBit) {
  train(options("whole", 3));
  for (const int64_t save_every : {0, 1}) {
    const std::string run = "killed" + std::to_string(save_every);
    TrainOptions first = options(run, 3);
    first.settings.training.save_every_steps = save_every;
    first.on_line = [](const Json& line) {
      if (line["event"] == "step" && line["epoch"] == 1 && line["step"] == 1) throw Killed{};
    };
    EXPECT_THROW(train(first), Killed);
    TrainOptions rest = options(run, 3);
    rest.settings.training.save_every_steps = save_every;
    rest.resume = true;
    train(rest);
    expect_same_state("whole", run);
    EXPECT_EQ(journal("whole"), journal(run));
  }
}

TEST_F(TrainerTest, TheAverageOfTheWeightsIsKeptAndResumed) {
  const auto averaged = [&](const std::string& run) {
    TrainOptions out = options(run, 3);
    out.settings.training.ema = 0.9;
    return out;
  };
  train(averaged("whole"));
  TrainOptions first = averaged("killed");
  first.settings.training.save_every_steps = 1;
  first.on_line = [](const Json& line) {
    if (line["event"] == "step" && line["epoch"] == 1 && line["step"] == 1) throw Killed{};
  };
  EXPECT_THROW(train(first), Killed);
  TrainOptions rest = averaged("killed");
  rest.settings.training.save_every_steps = 1;
  rest.resume = true;
  train(rest);
  expect_same_state("whole", "killed");
  expect_same_weights(file("whole", "best.safetensors"), file("killed", "best.safetensors"));
  train(options("without", 3));
  const auto plain = load_model(file("without", "last.safetensors")).network->parameters(),
             raw = load_model(file("whole", "last.safetensors")).network->parameters();
  for (size_t i = 0; i < raw.size(); ++i)
    EXPECT_TRUE(torch::equal(raw[i], plain[i]));  // training is as it was
}

TEST(UpdateAverage, IsTheMovingAverageOfParameters) {
  const Json settings = {{"name", "unet"}, {"widths", {4, 8}}};
  const auto average = make_network(settings), network = make_network(settings);
  const auto before = average->parameters()[0].clone(), now = network->parameters()[0].clone();
  update_average(*average, *network, 0.75, 1000);
  EXPECT_TRUE(torch::allclose(average->parameters()[0], 0.75 * before + 0.25 * now, 1e-6, 1e-7));
  update_average(*average, *network, 0.75, 0);  // keeps a tenth of the old
  EXPECT_TRUE(torch::allclose(average->parameters()[0], 0.075 * before + 0.925 * now, 1e-6, 1e-7));
}

TEST_F(TrainerTest, KilledBeforeTheFirstStateStartsOver) {
  TrainOptions first = options("run", 1);
  first.on_line = [](const Json& line) {
    if (line["event"] == "step") throw Killed{};
  };
  EXPECT_THROW(train(first), Killed);
  TrainOptions rest = options("run", 1);
  rest.resume = true;
  train(rest);
  train(options("whole", 1));
  expect_same_state("whole", "run");
}

TEST_F(TrainerTest, OldMomentsBesideTheStateDoNotMatter) {
  train(options("run", 1));
  std::ofstream(file("run", "moments-999-9.pt")) << "left by a kill between the two files";
  TrainOptions rest = options("run", 2);
  rest.resume = true;
  train(rest);
  EXPECT_FALSE(fs::exists(file("run", "moments-999-9.pt")));
  train(options("whole", 2));
  expect_same_state("whole", "run");
}

TEST_F(TrainerTest, RefusesWhatCannotBeResumed) {
  TrainOptions rest = options("run", 2);
  rest.resume = true;
  EXPECT_THAT(refusal(rest), HasSubstr("no run to resume"));
  train(options("run", 1));
  EXPECT_THAT(refusal(options("run", 1)), HasSubstr("--resume continues it"));
  rest.settings.network["states"] = 3;
  EXPECT_THAT(refusal(rest), HasSubstr("is not that of the run"));
  rest = options("run", 2);
  rest.resume = true;
  for (const auto& entry : fs::directory_iterator(folder_ / "run"))
    if (entry.path().extension() == ".pt") fs::remove(entry.path());
  EXPECT_THAT(refusal(rest), HasSubstr("missing, but last.safetensors names it"));
}

TEST_F(TrainerTest, AResumedRunKeepsItsSplit) {
  const auto divided = [this](int64_t epochs) {
    TrainOptions made = options("run", epochs);
    made.settings.data.split.validation.clear();
    made.settings.data.split.validation_fraction = 0.34;
    return made;
  };
  train(divided(1));
  const Json before = read_json(file("run", "split.json"));
  EXPECT_EQ(before["cases"], 3);
  for (const int number : {3, 4, 0}) draw_case(number);  // case0 is drawn as it was
  std::vector<std::string> warnings;
  TrainOptions rest = divided(2);
  rest.resume = true;
  rest.warn = [&](const std::string& line) { warnings.push_back(line); };
  train(rest);
  EXPECT_EQ(read_json(file("run", "split.json")), before);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("2 cases were added"));

  const std::string gone = before["train"][0];
  fs::remove(folder_ / ("data/images/" + gone + ".nii.gz"));
  fs::remove(folder_ / ("data/labels/" + gone + ".nii.gz"));
  EXPECT_THAT(refusal(rest), HasSubstr("no case is called " + gone));
}

TEST_F(TrainerTest, AResumedRunRefusesOtherData) {
  train(options("run", 1));
  fs::copy(folder_ / "data", folder_ / "data2", fs::copy_options::recursive);
  fs::create_directory_symlink("data", folder_ / "link");
  TrainOptions rest = options("run", 2);
  rest.resume = true;
  rest.settings.data.dataset.folder = (folder_ / "data2").string();
  EXPECT_THROW(train(rest), UsageError);
  EXPECT_THAT(refusal(rest), HasSubstr("data.dataset.folder"));
  rest.settings.data.dataset.folder = (folder_ / "link").string();  // the same under another name
  rest.settings.data.split.validation = {"case1"};
  EXPECT_THAT(refusal(rest), HasSubstr("data.split.validation"));
  rest.settings.data.split.validation = {"case2"};
  const uint64_t seed = rest.settings.training.seed;
  rest.settings.training.seed = seed + 1;
  EXPECT_THAT(refusal(rest), HasSubstr("training.seed"));
  rest.settings.training.seed = seed;
  EXPECT_EQ(refusal(rest), "");
}

TEST_F(TrainerTest, AResumedRunRefusesImagesAndLabelsThatChanged) {
  train(options("run", 1));
  TrainOptions rest = options("run", 2);
  rest.resume = true;
  const std::string labels = (folder_ / "data/labels/case0.nii.gz").string();
  const Volume<int32_t> before = read_labels(labels);
  Volume<int32_t> other = before;
  *std::find_if(other.voxels.begin(), other.voxels.end(), [](int32_t label) { return label != 0; }) = 0;
  write_labels(labels, other);
  EXPECT_THAT(refusal(rest),
              HasSubstr("case case0 of " + (folder_ / "data").string() + ": its image or labels"));
  write_labels(labels, before);
  EXPECT_EQ(refusal(rest), "");
}

TEST_F(TrainerTest, AResumedRunNeedsItsSplit) {
  train(options("run", 1));
  fs::remove(file("run", "split.json"));
  TrainOptions rest = options("run", 2);
  rest.resume = true;
  EXPECT_THAT(refusal(rest), HasSubstr("no one knows which cases the run has trained on"));
}

TEST_F(TrainerTest, AStartThatFailedDoesNotKeepItsFolder) {
  TrainOptions start = options("run", 1);
  start.settings.network["in_channels"] = 2;
  EXPECT_NE(refusal(start), "");
  EXPECT_EQ(refusal(options("run", 1)), "");
}

TEST_F(TrainerTest, AResumedRunFollowsDataThatMoved) {
  train(options("run", 1));
  TrainOptions rest = options("run", 2);
  rest.resume = true;
  fs::rename(folder_ / "data", folder_ / "moved");
  rest.settings.data.dataset.folder = (folder_ / "moved").string();
  std::vector<std::string> warnings;
  rest.warn = [&](const std::string& line) { warnings.push_back(line); };
  EXPECT_EQ(refusal(rest), "");
  EXPECT_THAT(warnings, testing::ElementsAre(HasSubstr("the data of the run, is not there")));
}

TEST_F(TrainerTest, ANewRunReplacesNoFileOfAnother) {
  for (const char* name : {"split.json", "journal.jsonl", "best.safetensors"}) {
    const std::string run = std::string("with_") + name;
    fs::create_directories(folder_ / run);
    std::ofstream(file(run, name)) << "mine";
    EXPECT_THAT(refusal(options(run, 1)), HasSubstr("holds a run already")) << name;
  }
}

TEST_F(TrainerTest, AFolderIsUsedByOneRunAtATime) {
  TrainOptions first = options("run", 1);
  std::string second;
  first.on_line = [&](const Json& line) {
    if (line["event"] != "start") return;
    TrainOptions other = options("run", 1);
    other.resume = true;
    second = refusal(other);
  };
  train(first);
  EXPECT_THAT(second, HasSubstr("works in this folder"));
  EXPECT_FALSE(fs::exists(file("run", ".lock")));
}

TEST_F(TrainerTest, AnotherProcessorIsTold) {
  train(options("run", 1));
  Model last = load_model(file("run", "last.safetensors"));
  last.info.history["machine"]["convolutions"] = "another processor";
  save_model(file("run", "last.safetensors"), *last.network, last.info);
  TrainOptions rest = options("run", 2);
  rest.resume = true;
  std::string warning;
  rest.warn = [&](const std::string& line) { warning = line; };
  train(rest);
  EXPECT_THAT(warning, HasSubstr("no longer those of an uninterrupted run"));
  int told = 0;
  for (const Json& line : journal("run")) told += line["event"] == "machine";
  EXPECT_EQ(told, 1);
}

TEST_F(TrainerTest, AFileThatGrowsTooLargeLosesNothing) {
  train(options("run", 1));
  const auto bytes_of = [&](const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  std::string moments;
  for (const auto& entry : fs::directory_iterator(folder_ / "run"))
    if (entry.path().extension() == ".pt") moments = entry.path().filename().string();
  const std::string last = bytes_of(file("run", "last.safetensors")), kept = bytes_of(file("run", moments));
  TrainOptions rest = options("run", 3);
  rest.resume = true;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  // The moments are twice the weights: once their file does not fit, once the best model does not either.
  for (const size_t most : {kept.size() / 2, last.size() / 2}) {
    const rlimit limit{most, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    const std::string message = refusal(rest);
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_THAT(message, HasSubstr("File too large"));
    EXPECT_EQ(bytes_of(file("run", "last.safetensors")), last);
    EXPECT_EQ(bytes_of(file("run", moments)), kept);
    for (const auto& entry : fs::directory_iterator(folder_ / "run"))
      EXPECT_FALSE(entry.path().filename().string().starts_with(".mambaseg-")) << entry.path();
  }
  train(rest);
  train(options("whole", 3));
  expect_same_state("whole", "run");
  EXPECT_EQ(journal("whole"), journal("run"));
}

TEST_F(TrainerTest, NonFiniteLossNamesModuleAndPatchAndLosesNothing) {
  TrainOptions broken = options("run", 3);
  broken.settings.training.learning_rate = 1e25;
  const std::string text = refusal(broken);
  EXPECT_THAT(text, HasSubstr("training stopped in epoch 1, step 2"));
  EXPECT_THAT(text, HasSubstr("module "));
  EXPECT_THAT(text, HasSubstr("case case"));
  TrainOptions rest =
      options("run", 1);  // a lower rate cannot mend these weights, but the state is there and finite
  rest.resume = true;
  EXPECT_THAT(refusal(rest), HasSubstr("epoch 1, step 2"));
}

TEST_F(TrainerTest, ScalingTheLossByAPowerOfTwoChangesNothing) {
  TrainOptions plain = options("plain", 2), scaled = options("scaled", 2);
  for (TrainOptions* each : {&plain, &scaled}) each->settings.training.clip_norm = 0.1;
  scaled.settings.training.loss_scale = 64;
  train(plain);
  train(scaled);
  const auto first = journal("plain"), second = journal("scaled");
  ASSERT_EQ(first.size(), second.size());
  EXPECT_EQ(second[1]["loss_scale"], 64);
  // Every product of the backward pass is scaled exactly; only the norm that clips is a sum of rounded
  // squares.
  for (size_t i = 1; i < first.size(); ++i)
    EXPECT_NEAR(first[i]["loss"].get<double>(), second[i]["loss"].get<double>(), 1e-5) << "line " << i;
}

TEST_F(TrainerTest, AnOverflowingGradientLeavesTheStepOutAndHalvesTheScale) {
  TrainOptions options = this->options("run", 4);
  options.settings.training.loss_scale = std::ldexp(1.0, 130);  // beyond fp32
  train(options);
  std::vector<Json> steps;
  for (const Json& line : journal("run"))
    if (line["event"] == "step") steps.push_back(line);
  ASSERT_EQ(steps.size(), 12u);
  EXPECT_TRUE(steps.front().contains("left_out"));
  double scale = std::ldexp(1.0, 130);
  for (const Json& step : steps) {
    EXPECT_EQ(step["loss_scale"], scale);
    if (step.contains("left_out")) scale /= 2;
  }
  EXPECT_FALSE(steps.back().contains("left_out"));
  EXPECT_LT(steps.back()["loss"], steps.front()["loss"]);
  EXPECT_EQ(load_model(file("run", "last.safetensors")).info.history["position"]["loss_scale"]["factor"],
            scale);

  TrainOptions rest = this->options("run", 5);  // goes on at the scale that fits
  rest.settings.training.loss_scale = options.settings.training.loss_scale;
  rest.resume = true;
  train(rest);
  EXPECT_EQ(journal("run").at(1 + 4 * 4)["loss_scale"], scale);
}

TEST_F(TrainerTest, HalfPrecisionNeedsCuda) {
  for (const char* precision : {"fp16", "tf32"}) {
    TrainOptions half = options("run", 1);
    half.settings.training.precision = precision;
    EXPECT_THAT(refusal(half), HasSubstr(concat("setting training.precision: precision ", precision,
                                                " is there with --device cuda only")));
  }
}

// An epoch on the GPU, from what the CPU began, moves the weights as an epoch on the CPU does; and back.
TEST_F(TrainerTest, OnTheGpuARunOfTheCpuGoesOn) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  allow_tf32(false);
  const auto options_for = [&](const std::string& run, int64_t epochs, torch::Device device) {
    TrainOptions run_options = options(run, epochs);
    for (const char* random : {"drop_path", "dropout", "mlp_dropout"})
      run_options.settings.network[random] = 0.0;
    run_options.resume = epochs > 1;
    run_options.device = device;
    return run_options;
  };
  const auto weights = [&](const std::string& run) {
    std::vector<torch::Tensor> all;
    for (const torch::Tensor& parameter : load_model(file(run, "last.safetensors")).network->parameters())
      all.push_back(parameter.detach().flatten());
    return torch::cat(all);
  };
  train(options_for("cpu", 1, torch::kCPU));
  fs::copy(folder_ / "cpu", folder_ / "gpu", fs::copy_options::recursive);
  const torch::Tensor before = weights("cpu");
  train(options_for("cpu", 2, torch::kCPU));
  train(options_for("gpu", 2, torch::kCUDA));
  const torch::Tensor moved = weights("cpu") - before, difference = weights("gpu") - weights("cpu");
  EXPECT_LT(difference.norm().item<double>(), 0.1 * moved.norm().item<double>());
  train(options_for("gpu", 3, torch::kCPU));
  EXPECT_TRUE(torch::isfinite(weights("gpu")).all().item<bool>());
}

TEST_F(TrainerTest, OnTheGpuItLearnsInEveryPrecision) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU, or a LibTorch without CUDA";
  for (const char* precision : {"fp32", "tf32", "bf16", "fp16"}) {
    SCOPED_TRACE(precision);
    TrainOptions on_gpu = options(precision, 8);
    on_gpu.settings.training.precision = precision;
    on_gpu.device = torch::kCUDA;
    train(on_gpu);
    std::vector<double> losses;
    for (const Json& line : journal(precision))
      if (line["event"] == "epoch") losses.push_back(line["loss"]);
    ASSERT_EQ(losses.size(), 8u);
    EXPECT_LT(losses.back(), losses.front());
  }
}

TEST_F(TrainerTest, OneStepOfAScanEqualsOneBatchOfItsPatches) {
  // Gradients of 3 patches one by one are those of a batch of 3 when the loss is a mean over samples.
  TrainOptions one = options("one", 1), three = options("three", 1);
  for (TrainOptions* each : {&one, &three}) {
    each->settings.network["dropout"] = each->settings.network["mlp_dropout"] =
        each->settings.network["drop_path"] = 0.0;
    each->settings.loss = {{"name", "cross_entropy"}};
    each->settings.training.patches_per_step = 0;
  }
  three.settings.training.batch = 3;
  train(one);
  train(three);
  const auto a = load_model(file("one", "last.safetensors")).network->parameters();
  const auto b = load_model(file("three", "last.safetensors")).network->parameters();
  // AdamW's first steps have the size of the learning rate whatever the gradient's size, so compare the
  // losses.
  const auto first = journal("one"), second = journal("three");
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 1; i < 3; ++i) EXPECT_NEAR(first[i]["loss"], second[i]["loss"], 2e-3);
  ASSERT_EQ(a.size(), b.size());
}

TEST_F(TrainerTest, RefusesRecipesThatDoNotFit) {
  TrainOptions odd = options("run", 1);
  odd.settings.network["classes"] = 7;
  EXPECT_THAT(refusal(odd), HasSubstr("network.classes"));
  odd = options("run", 1);
  volumes_of(odd.settings).plan.patch = {16, 16, 12};
  volumes_of(odd.settings).plan.step = 12;
  EXPECT_THAT(refusal(odd), HasSubstr("multiples of 8"));
  odd = options("run", 1);
  volumes_of(odd.settings).plan.classes.clear();
  EXPECT_THROW(train(odd), UsageError);
  odd = options("run", 1);
  odd.settings.loss = {{"name", "cross_entropy"}, {"weighting", "given"}, {"weights", {1.0}}};
  EXPECT_THAT(refusal(odd), HasSubstr("1 class weights"));
}

}  // namespace
}  // namespace mambaseg
