#include "mambaseg/train/batches.h"

#include <algorithm>
#include <numeric>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/device.h"
#include "mambaseg/ops/threads.h"

namespace mambaseg {
namespace {

constexpr int64_t kReady = 3;  // batches that may wait besides those being drawn
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

BatchStream::BatchStream(const SampleSources& samplers, const std::vector<PlannedStep>& steps, int64_t batch,
                         int64_t first_step, uint64_t seed, int64_t epoch, const Workers& workers,
                         torch::Device device)
    : samplers_(samplers), seed_(seed), epoch_(epoch), device_(device) {
  for (auto step = steps.begin() + first_step; step != steps.end(); ++step)
    for (auto begin = step->begin(); begin != step->end();) {
      const auto end = begin + std::min<int64_t>(batch, step->end() - begin);
      batches_.emplace_back(begin, end);
      begin = end;
    }
  drawn_.emplace(
      static_cast<int64_t>(batches_.size()), workers,
      [this](int64_t b) { return draw(batches_[static_cast<size_t>(b)]); },
      [this](int64_t b) { return bytes(batches_[static_cast<size_t>(b)]); },
      [](int) { compute_on_threads(1); },  // beside the network, which has them all
      std::max(workers.threads, 1) + kReady);
}

int64_t BatchStream::bytes(const std::vector<PlannedPatch>& patches) const {
  constexpr int64_t kCopies = 2;  // the samples, and all of them together
  int64_t sum = 0;
  for (const auto& [index, patch] : patches) sum += kCopies * samplers_[static_cast<size_t>(index)]->bytes();
  return sum;
}

Batch BatchStream::draw(const std::vector<PlannedPatch>& patches) const {
  Batch batch;
  std::vector<torch::Tensor> images, classes, scale_factors;
  for (const auto& [index, patch] : patches) {
    const uint64_t stream = stream_of(stream_of(kPatchStream, static_cast<uint64_t>(epoch_)),
                                      static_cast<uint64_t>(index), static_cast<uint64_t>(patch));
    const SampleSource& sampler = *samplers_[static_cast<size_t>(index)];
    Sample drawn = sampler.draw(patch, Random(seed_, stream));
    images.push_back(std::move(drawn.image));
    classes.push_back(std::move(drawn.classes));
    if (drawn.scale_factors.defined()) scale_factors.push_back(std::move(drawn.scale_factors));
    batch.patches.push_back(concat("case ", sampler.id(), ", patch ", patch));
  }
  batch.images = pinned_for(device_, torch::stack(images));
  batch.classes = pinned_for(device_, torch::stack(classes).to(torch::kUInt8));
  if (!scale_factors.empty()) batch.scale_factors_B2 = torch::stack(scale_factors);
  return batch;
}

}  // namespace mambaseg
