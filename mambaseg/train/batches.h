#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "mambaseg/data/sample_source.h"

namespace mambaseg {

/// Samples (patches of volumes, or pictures) that go through the network together.
struct Batch {
  torch::Tensor images;              ///< (B, C, spatial...) float32
  torch::Tensor classes;             ///< (B, spatial...) int64
  std::vector<std::string> patches;  ///< "case ID, patch 3", for messages
};

/// One patch of an epoch.
struct PlannedPatch {
  int64_t case_index = 0;
  int64_t patch = 0;
};

using PlannedStep = std::vector<PlannedPatch>;

/// The patches of an epoch, cut into optimiser steps of `patches_per_step` (0: one case a step). Cases come
/// in an order drawn from (seed, epoch).
std::vector<PlannedStep> plan_epoch(const SampleSources& samplers, int64_t patches_per_step, uint64_t seed,
                                    int64_t epoch);

/// Draws the batches of an epoch on a thread of its own, a few ahead of the trainer. What comes out of next()
/// does not depend on timing: every patch has its own random stream.
class BatchStream {
 public:
  /// `samplers` must outlive the stream. The steps before `first_step` are left out.
  BatchStream(const SampleSources& samplers, std::vector<PlannedStep> steps, int64_t batch,
              int64_t first_step, uint64_t seed, int64_t epoch);

  /// The next batch, in order; rethrows what went wrong on the other thread. Must not be called after the
  /// last one.
  Batch next();

 private:
  void work(const std::stop_token& stop);
  Batch draw(const PlannedStep& patches, size_t begin) const;

  const SampleSources& samplers_;
  const std::vector<PlannedStep> steps_;
  const size_t batch_, first_step_;
  const uint64_t seed_;
  const int64_t epoch_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Batch> ready_;
  std::exception_ptr failure_;
  std::jthread worker_;  ///< last member: it is stopped and joined before what it uses goes
};

}  // namespace mambaseg
