#include "mambaseg/train/step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/CPUGeneratorImpl.h>
#include <torch/cuda.h>

#include <cstdlib>

#include "mambaseg/losses/loss.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/ops/determinism.h"
#include "mambaseg/train/optimizer.h"

namespace mambaseg {
namespace {

/// The same picture again and again.
class OnePicture : public SampleSource {
 public:
  const std::string& id() const override { return id_; }
  int64_t count() const override { return 4; }
  int64_t bytes() const override { return bytes_of_sample(3, 64 * 64); }
  Sample draw(int64_t, Random) const override {
    return {torch::ones({3, 64, 64}), torch::zeros({64, 64}, torch::kInt64)};
  }

 private:
  std::string id_ = "one";
};

/// Pictures of random numbers with random lesions.
class RandomPictures : public OnePicture {
 public:
  Sample draw(int64_t sample, Random) const override {
    auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(sample));
    return {torch::rand({3, 64, 64}, generator), torch::randint(2, {64, 64}, generator, torch::kInt64)};
  }
};

/// Of two classes.
std::shared_ptr<Network> small_network(const std::string& name) {
  Json settings = find_network(name).small;
  settings["classes"] = 2;
  return find_network(name).make(settings);
}

/// A loss that finds the GPU full.
class NoMemory : public Loss {
 public:
  torch::Tensor operator()(const torch::Tensor&, const torch::Tensor&, int64_t) const override {
    throw c10::OutOfMemoryError({__func__, __FILE__, __LINE__},
                                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity "
                                "of 79.11 GiB of which 12.44 MiB is free. Including non-PyTorch memory");
  }
};

TEST(TrainingStep, ABatchThatAGpuDoesNotHoldIsToldInOneLine) {
  RunSettings settings;
  settings.training.batch = 4;
  TrainingState state;
  state.network = small_network("unet");
  state.optimizer = make_optimizer(settings.training, *state.network);
  const NoMemory loss;
  World alone;
  TrainingStep step(state, loss, settings, "fp32", torch::kCPU, alone);
  SampleSources pictures;
  pictures.push_back(std::make_unique<OnePicture>());
  BatchStream batches(pictures, plan_epoch(pictures, 4, 1, 0), 4, 0, 1, 0, Workers(1));
  std::string message;
  try {
    step.take(batches, {0, 4, 4}, 0);
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_THAT(message, testing::StartsWith(
                           "the GPU's memory is full: 2.00 GiB more were asked for, 12.44 MiB of 79.11 "
                           "GiB are free, in a training step of fp32 with batches of 4; a smaller "
                           "training.batch"));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

/// The weights of a small network after three steps on a GPU, one after another.
torch::Tensor trained_on_the_gpu(const std::string& network, torch::Device device) {
  RunSettings settings;
  settings.training.batch = 2;
  settings.training.clip_norm = 1;
  TrainingState state;
  torch::manual_seed(1);
  state.network = small_network(network);
  state.network->to(device);
  state.optimizer = make_optimizer(settings.training, *state.network);
  const auto loss = make_loss({{"name", "dice_cross_entropy"}});
  World alone;
  TrainingStep step(state, *loss, settings, "fp32", device, alone);
  SampleSources pictures;
  pictures.push_back(std::make_unique<RandomPictures>());
  for (; state.at.step < 3; ++state.at.step) {
    BatchStream batches(pictures, plan_epoch(pictures, 4, 1, 0), 2, 0, 1, 0, Workers(1), device);
    step.take(batches, {0, 4, 4}, 0);
  }
  std::vector<torch::Tensor> all;
  for (const auto& parameter : state.network->parameters()) all.push_back(parameter.detach().flatten());
  return torch::cat(all).cpu();
}

TEST(TrainingStep, OnTheGpuTwoDeterministicTrainingsGiveTheSameBits) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU";
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  compute_deterministically(true);
  for (const char* network : {"unet", "hym_unet"})
    EXPECT_TRUE(
        torch::equal(trained_on_the_gpu(network, torch::kCUDA), trained_on_the_gpu(network, torch::kCUDA)))
        << network;
  compute_deterministically(false);
}

}  // namespace
}  // namespace mambaseg
