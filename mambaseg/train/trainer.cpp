#include "mambaseg/train/trainer.h"

#include <filesystem>

#include <torch/utils.h>

#include "mambaseg/nets/layers/recompute.h"
#include "mambaseg/nets/model/tensor_file.h"
#include "mambaseg/nets/pretrained/pretrained.h"
#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/implementation.h"
#include "mambaseg/tasks/task.h"
#include "mambaseg/train/loop.h"
#include "mambaseg/train/optimizer.h"
#include "mambaseg/train/run_folder.h"
#include "mambaseg/train/step.h"
#include "mambaseg/train/training_data.h"

namespace mambaseg {
namespace {

constexpr double kFirstLossScale = 65536;

TrainingState first_state(const RunSettings& settings, const std::string& precision, torch::Device device,
                          const Warn& note) {
  const TrainingSettings& training = settings.training;
  TrainingState state;
  torch::manual_seed(training.seed);
  state.network = make_network(settings.network);
  if (!training.start.empty()) {
    const Weights weights = read_tensors(training.start);
    const StartReport report = with_context(training.start, [&] {
      return start_from(*state.network, settings.network["name"].get<std::string>(), weights);
    });
    if (note) note(concat(training.start, ": ", report.text()));
  }
  state.network->to(device);
  state.optimizer = make_optimizer(training, *state.network);
  state.average = first_average(training.ema, settings.network, *state.network, device);
  state.at.loss_scale.factor = training.loss_scale > 0 ? training.loss_scale
                               : precision == "fp16"   ? kFirstLossScale
                                                       : 1;
  return state;
}

void require_input_edges(const RunSettings& settings, const Network& network) {
  if (const std::string why = network.misfit(settings.task->input_edges()); !why.empty())
    throw UsageError(concat("setting ", settings.task->input_edges_setting(), " does not fit the network ",
                            settings.network.value("name", ""), ": ", why));
}

void recompute(const RunSettings& settings, Network& network) {
  if (settings.training.synchronise_batch_norm)
    throw UsageError(
        "training.recompute: expected batch norms of one process, got training.synchronise_batch_norm, whose "
        "processes would have to meet again in the backward pass");
  with_context(concat("network ", settings.network.value("name", "")), [&] { recompute_blocks(network); });
}

/// That all ranks have one recipe and stand at one point of one run: else they would train apart, or wait for
/// each other.
void require_same_everywhere(World& world, const RunSettings& settings, const TrainingState& state) {
  if (world.alone()) return;
  double weights = 0;
  for (const torch::Tensor& parameter : state.network->parameters())
    weights += parameter.detach().to(torch::kCPU, torch::kFloat64).sum().item<double>();
  const std::string recipe = to_json(settings).dump();
  const std::vector<std::string> all =
      world.said(Json{{"recipe", recipe}, {"state", {weights, state.at.total_steps}}}.dump());
  for (size_t rank = 1; rank < all.size(); ++rank) {
    const Json one = Json::parse(all[rank]), leading = Json::parse(all.front());
    require(one["recipe"] == leading["recipe"], "rank ", rank,
            " has another recipe than rank 0: expected the same");
    require(one["state"] == leading["state"], "rank ", rank,
            " has other weights than rank 0: expected that both see the same folder of the run");
  }
}

TrainResult train_with(const TrainOptions& given) {
  TrainOptions options = given;
  if (!options.world->leads())
    options.progress = nullptr, options.warn = options.note = nullptr, options.on_line = nullptr;
  options.settings = resolved(given.settings);
  const RunSettings& settings = options.settings;
  const Task& task = *settings.task;
  const std::string precision = training_precision(settings.training, options.device);
  const AllowTf32 tf32(precision == "tf32");
  if (const std::string& start = settings.training.start; !start.empty() && !options.resume)
    require(std::filesystem::exists(start), start, ": no such file; expected weights to start from");
  RunFolder folder(options, task.plan_json());
  if (precision == "fp32" && settings.training.precision == "bf16" && options.warn)
    options.warn("this device does not compute in bf16: training in fp32");
  TrainingState state =
      folder.goes_on() ? folder.last_state() : first_state(settings, precision, options.device, options.note);
  require_input_edges(settings, *state.network);
  if (settings.training.recompute) recompute(settings, *state.network);
  const TrainingData data = training_data(options, task, folder);
  const auto loss = make_loss(settings.loss, loss_data(task.labels(), data.class_voxels));
  const SlowOperators slow(options.warn);
  require_same_everywhere(*options.world, settings, state);
  TrainingStep step(state, *loss, settings, precision, options.device, *options.world);
  return TrainingLoop(options, task, data, folder, state, step).run();
}

}  // namespace

TrainResult train(const TrainOptions& options) {
  try {
    return train_with(options);
  } catch (const RankLost&) {  // the others find that out, too
    throw;
  } catch (const std::exception& error) {
    options.world->stop(error.what());
    throw;
  }
}

void remove_run(const std::string& folder) { RunFolder::remove(folder); }

}  // namespace mambaseg
