#include "mambaseg/train/training_state.h"

#include <fcntl.h>

#include <algorithm>
#include <exception>
#include <filesystem>

#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include "mambaseg/io/atomic_file.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr char kLast[] = "last.safetensors", kMoments[] = "moments-", kAverage[] = "average";

}  // namespace

void save_training_state(const std::string& folder, const TrainingState& state, ModelInfo info) {
  const std::string name = concat(kMoments, state.at.total_steps, "-", state.at.epoch, ".pt");
  write_atomically((fs::path(folder) / name).string(), [&](const std::string& temporary) {
    torch::serialize::OutputArchive archive;
    state.optimizer->save(archive);
    if (state.average) {
      torch::serialize::OutputArchive average;
      state.average->save(average);
      archive.write(kAverage, average);
    }
    // LibTorch's own writer of files ends the program when the disk is full; this one tells it nothing.
    OpenFile file(temporary, O_WRONLY | O_TRUNC);
    std::exception_ptr failure;
    archive.save_to([&](const void* bytes, size_t count) {
      try {
        if (!failure) file.write(bytes, count);
      } catch (...) {
        failure = std::current_exception();
      }
      return count;
    });
    if (failure) std::rethrow_exception(failure);
    file.close();
  });
  info.history["position"] = to_json(state.at);
  info.history["moments"] = name;
  save_model((fs::path(folder) / kLast).string(), *state.network, info);
  remove_moments(folder, name);
}

void remove_moments(const std::string& folder, const std::string& but) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    std::error_code ignored;  // they do no harm
    if (name.starts_with(kMoments) && name != but) fs::remove(entry.path(), ignored);
  }
}

Model load_last(const std::string& folder, torch::Device device, RunPosition& position) {
  const std::string path = (fs::path(folder) / kLast).string();
  require(fs::is_regular_file(path), folder, ": nothing to resume: no ", kLast,
          " (the state is saved after the first epoch)");
  Model model = load_model(path, device);
  require(model.info.history.contains("position") && model.info.history.contains("moments"), path,
          ": not the state of a training run");
  position = from_json<RunPosition>(model.info.history["position"], "position");
  return model;
}

void load_moments(const std::string& folder, const Model& last, TrainingState& state) {
  torch::optim::Optimizer& optimizer = *state.optimizer;
  const std::string path = (fs::path(folder) / last.info.history["moments"].get<std::string>()).string();
  require(fs::is_regular_file(path), path, ": missing, but ", kLast, " names it");
  // The file also holds the rates and decays of its time; those of the recipe count.
  std::vector<std::unique_ptr<torch::optim::OptimizerOptions>> own;
  for (const auto& group : optimizer.param_groups()) own.push_back(group.options().clone());
  try {
    torch::serialize::InputArchive archive;
    // Where the parameters are, wherever they were when it was written.
    archive.load_from(path, optimizer.param_groups().front().params().front().device());
    optimizer.load(archive);
    if (torch::serialize::InputArchive average; state.average && archive.try_read(kAverage, average))
      state.average->load(average);
    for (size_t i = 0; i < own.size(); ++i) optimizer.param_groups()[i].set_options(std::move(own[i]));
  } catch (const c10::Error& error) {
    throw Error(concat(path, ": not the optimiser state of this network: ", error.what_without_backtrace()));
  }
}

void update_average(Network& average, const Network& network, double share, int64_t steps) {
  const torch::NoGradGuard no_grad;
  const double kept = std::min(share, (1 + static_cast<double>(steps)) / (10 + static_cast<double>(steps)));
  const auto move = [&](const std::vector<torch::Tensor>& means, const std::vector<torch::Tensor>& now) {
    for (size_t i = 0; i < means.size(); ++i)
      if (now[i].is_floating_point())
        torch::Tensor(means[i]).lerp_(now[i], 1 - kept);
      else
        torch::Tensor(means[i]).copy_(now[i]);
  };
  move(average.parameters(), network.parameters());
  move(average.buffers(), network.buffers());
}

std::shared_ptr<Network> first_average(double ema, const Json& settings, const Network& network,
                                       torch::Device device) {
  if (ema == 0) return nullptr;
  auto average = make_network(settings);
  average->to(device);
  update_average(*average, network, 0, 0);
  return average;
}

}  // namespace mambaseg
