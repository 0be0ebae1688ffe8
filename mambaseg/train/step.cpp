#include "mambaseg/train/step.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <torch/utils.h>

#include "mambaseg/kernels/target.h"
#include "mambaseg/losses/deep_supervision.h"
#include "mambaseg/losses/joint_loss.h"
#include "mambaseg/nets/model/pixel_scale.h"
#include "mambaseg/ops/autocast.h"
#include "mambaseg/ops/dense.h"
#include "mambaseg/ops/determinism.h"
#include "mambaseg/ops/device.h"
#include "mambaseg/ops/device_memory.h"
#include "mambaseg/ops/synchronised_norm.h"
#include "mambaseg/train/gradients.h"
#include "mambaseg/train/nan_guard.h"
#include "mambaseg/train/optimizer.h"

namespace mambaseg {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kStepStream = 3;

}  // namespace

std::string training_precision(const TrainingSettings& settings, torch::Device device) {
  return with_context("setting training.precision",
                      [&] { return precision_on(arithmetic_of(device), settings.precision); });
}

TrainingStep::TrainingStep(TrainingState& state, const Loss& loss, const RunSettings& settings,
                           std::string precision, torch::Device device, World& world)
    : state_(state),
      loss_(loss),
      settings_(settings.training),
      schedule_(settings.schedule),
      precision_(std::move(precision)),
      device_(device),
      world_(world),
      sums_(*state.network, world) {}

StepReport TrainingStep::take(BatchStream& batches, const StepShare& share, double epoch) {
  RunPosition& at = state_.at;
  StepReport report;
  report.learning_rate = rate_at(epoch);
  report.loss_scale = at.loss_scale.factor;
  set_learning_rate(*state_.optimizer, report.learning_rate);
  state_.optimizer->zero_grad();
  Batch batch;
  try {
    batch = add_gradients(batches, share, report);
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(concat(full_memory_line(error), ", in a training step of ", precision_, " with batches of ",
                       settings_.batch,
                       "; a smaller training.batch, training.precision = \"auto\" or another "
                       "GPU may do, and --resume goes on"));
  }
  sums_.finish();
  report.loss_sum = world_.sums({report.loss_sum})[0];
  const std::vector<torch::Tensor> gradients = gradients_of(*state_.network);
  const double norm = gradient_norm(gradients);
  report.left_out = !std::isfinite(norm);
  if (report.left_out && !at.loss_scale.halve()) stop("gradient norm", norm, batch);
  if (!report.left_out) {
    unscale_and_clip(gradients, norm, report.loss_scale, settings_.clip_norm);
    change_weights();
  }
  return report;
}

Batch TrainingStep::add_gradients(BatchStream& batches, const StepShare& share, StepReport& report) {
  std::vector<Underway> underway;
  Batch batch;
  for (int64_t done = 0; done < share.count; done += static_cast<int64_t>(batch.patches.size())) {
    const auto asked = Clock::now();
    batch = batches.next();
    report.waited_s += std::chrono::duration<double>(Clock::now() - asked).count();
    seed_paths(share.first + done);
    const auto classes = sent_to(device_, batch.classes).to(torch::kInt64);
    tell_scale_factors(*state_.network, batch.scale_factors_B2);
    const auto loss = loss_of(forward_among_ranks(sent_to(device_, batch.images), true), classes);
    underway.push_back({loss.detach(), batch});
    if (!device_.is_cuda()) read_losses(underway, report);
    const auto count = static_cast<double>(batch.patches.size());
    if (share.idle == 0 && done + static_cast<int64_t>(batch.patches.size()) == share.count)
      sums_.last_pass();
    (loss * (report.loss_scale * count / static_cast<double>(share.total))).backward();
  }
  keep_ranks_company(batches, share);
  read_losses(underway, report);  // to read each from a GPU would mean to wait for each
  return batch;
}

/// The batch norms of the ranks that have more batches wait for this one: it takes part, and adds nothing.
void TrainingStep::keep_ranks_company(BatchStream& batches, const StepShare& share) {
  for (int64_t i = 0; i < share.idle; ++i) {
    const Batch batch = batches.next();
    tell_scale_factors(*state_.network, batch.scale_factors_B2);
    const auto classes = sent_to(device_, batch.classes).to(torch::kInt64);
    const auto loss = loss_of(forward_among_ranks(sent_to(device_, batch.images), false), classes);
    if (i + 1 == share.idle) sums_.last_pass();
    (loss * 0).backward();
  }
}

/// Dropout and drop path of the batch that begins with this sample of the step, whichever rank computes it.
void TrainingStep::seed_paths(int64_t sample) const {
  const RunPosition& at = state_.at;
  const uint64_t step = stream_of(stream_of(kStepStream, settings_.seed), static_cast<uint64_t>(at.epoch),
                                  static_cast<uint64_t>(at.step));
  torch::manual_seed(sample == 0 ? step : stream_of(step, static_cast<uint64_t>(sample)));
}

void TrainingStep::read_losses(std::vector<Underway>& underway, StepReport& report) const {
  if (underway.empty()) return;
  std::vector<torch::Tensor> losses;
  for (const Underway& one : underway) losses.push_back(one.loss);
  const torch::Tensor values = torch::stack(losses).to(torch::kCPU, torch::kFloat64);
  for (size_t i = 0; i < underway.size(); ++i) {
    const double value = values[static_cast<int64_t>(i)].item<double>();
    if (!std::isfinite(value)) stop("loss", value, underway[i].batch);
    report.loss_sum += value * static_cast<double>(underway[i].batch.patches.size());
  }
  underway.clear();
}

double TrainingStep::rate_at(double epoch) const {
  return learning_rate(schedule_, settings_.learning_rate, epoch, settings_.epochs);
}

Json TrainingStep::machine() const {
  Json machine = {{"device", device_.is_cuda() ? "cuda" : device_.str()},  // whichever of several
                  {"convolutions", dense_target()},
                  {"kernels", best_target().name},
                  {"precision", precision_},
                  {"threads", torch::get_num_threads()}};
  if (!world_.alone()) machine["ranks"] = world_.size();
  if (computes_deterministically()) machine["deterministic"] = true;
  return machine;
}

std::vector<torch::Tensor> TrainingStep::forward(const torch::Tensor& images) const {
  const Autocast autocast(precision_, device_);
  return state_.network->forward(images);
}

std::vector<torch::Tensor> TrainingStep::forward_among_ranks(const torch::Tensor& images, bool counts) const {
  if (world_.alone() || !settings_.synchronise_batch_norm) return forward(images);
  const SynchronisedBatchNorms ranks([&](const torch::Tensor& mine) { return world_.of_all(mine); }, counts);
  return forward(images);
}

torch::Tensor TrainingStep::loss_of(const std::vector<torch::Tensor>& outputs,
                                    const torch::Tensor& classes) const {
  std::vector<torch::Tensor> scores;  // the loss is computed in full precision
  for (const torch::Tensor& one : outputs) scores.push_back(one.to(torch::kFloat32));
  if (const auto* joint = dynamic_cast<const JointLoss*>(&loss_)) return joint->of_members(scores, classes);
  std::vector<double> weights = settings_.deep_supervision;
  if (weights.empty() || outputs.size() == 1)
    weights = deep_supervision_weights(static_cast<int64_t>(outputs.size()));
  const size_t used = std::min(outputs.size(), weights.size());
  weights.resize(used);
  double sum = 0;
  for (const double weight : weights) sum += weight;
  for (double& weight : weights) weight /= sum;
  scores.resize(used);
  return deeply_supervised(loss_, scores, {classes}, weights, state_.at.epoch);
}

void TrainingStep::change_weights() {
  state_.optimizer->step();
  if (state_.average) update_average(*state_.average, *state_.network, settings_.ema, state_.at.total_steps);
  state_.at.loss_scale.keep();
}

void TrainingStep::stop(const char* what, double value, const Batch& batch) const {
  std::string place;
  if (batch.images.defined()) {
    const torch::Tensor images = batch.images.to(device_);
    tell_scale_factors(*state_.network, batch.scale_factors_B2);
    place = find_non_finite(*state_.network, [&] { forward(images); });
  }
  if (place.empty()) place = "not found again when the step was repeated";
  std::string patches;
  for (const std::string& patch : batch.patches) patches += (patches.empty() ? "" : "; ") + patch;
  throw NotFinite(concat("the ", what, " is ", value, "; ", place, "; patches: ", patches));
}

}  // namespace mambaseg
