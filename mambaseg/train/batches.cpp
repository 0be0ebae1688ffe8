#include "mambaseg/train/batches.h"

#include <algorithm>
#include <numeric>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr size_t kAhead = 4;
constexpr uint64_t kOrderStream = 1, kPatchStream = 2;

}  // namespace

std::vector<PlannedStep> plan_epoch(const SampleSources& samplers, int64_t patches_per_step, uint64_t seed,
                                    int64_t epoch) {
  std::vector<int64_t> order(samplers.size());
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, stream_of(kOrderStream, static_cast<uint64_t>(epoch)));
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  std::vector<PlannedStep> steps;
  for (const int64_t index : order) {
    const int64_t count = samplers[static_cast<size_t>(index)]->count();
    for (int64_t patch = 0; patch < count; ++patch) {
      const bool new_case = patches_per_step == 0 && patch == 0;
      const bool full = !steps.empty() && patches_per_step > 0 &&
                        static_cast<int64_t>(steps.back().size()) >= patches_per_step;
      if (steps.empty() || new_case || full) steps.emplace_back();
      steps.back().push_back({index, patch});
    }
  }
  return steps;
}

BatchStream::BatchStream(const SampleSources& samplers, std::vector<PlannedStep> steps, int64_t batch,
                         int64_t first_step, uint64_t seed, int64_t epoch)
    : samplers_(samplers),
      steps_(std::move(steps)),
      batch_(static_cast<size_t>(batch)),
      first_step_(static_cast<size_t>(first_step)),
      seed_(seed),
      epoch_(epoch),
      worker_([this](const std::stop_token& stop) { work(stop); }) {}

Batch BatchStream::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !ready_.empty() || failure_; });
  if (ready_.empty()) std::rethrow_exception(failure_);
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return batch;
}

Batch BatchStream::draw(const PlannedStep& patches, size_t begin) const {
  Batch batch;
  std::vector<torch::Tensor> images, classes;
  for (size_t i = begin; i < std::min(patches.size(), begin + batch_); ++i) {
    const auto [index, patch] = patches[i];
    const uint64_t stream = stream_of(stream_of(kPatchStream, static_cast<uint64_t>(epoch_)),
                                      static_cast<uint64_t>(index), static_cast<uint64_t>(patch));
    const SampleSource& sampler = *samplers_[static_cast<size_t>(index)];
    Sample drawn = sampler.draw(patch, Random(seed_, stream));
    images.push_back(std::move(drawn.image));
    classes.push_back(std::move(drawn.classes));
    batch.patches.push_back(concat("case ", sampler.id(), ", patch ", patch));
  }
  batch.images = torch::stack(images);
  batch.classes = torch::stack(classes);
  return batch;
}

void BatchStream::work(const std::stop_token& stop) {
  try {
    for (size_t step = first_step_; step < steps_.size(); ++step) {
      for (size_t begin = 0; begin < steps_[step].size(); begin += batch_) {
        Batch batch = draw(steps_[step], begin);
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [this] { return ready_.size() < kAhead; })) return;
        if (stop.stop_requested()) return;
        ready_.push_back(std::move(batch));
        changed_.notify_all();
      }
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

}  // namespace mambaseg
