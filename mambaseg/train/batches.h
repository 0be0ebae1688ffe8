#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "mambaseg/core/workers.h"
#include "mambaseg/data/sample_source.h"

namespace mambaseg {

/// Samples (patches of volumes, or pictures) that go through the network together.
struct Batch {
  torch::Tensor images;              ///< (B, C, spatial...) float32
  torch::Tensor classes;             ///< (B, spatial...) uint8
  torch::Tensor scale_factors_B2;    ///< of slices (Sample), else undefined
  std::vector<std::string> patches;  ///< "case ID, patch 3", for messages
};

/// One patch of an epoch.
struct PlannedPatch {
  int64_t case_index = 0;
  int64_t patch = 0;
};

using PlannedStep = std::vector<PlannedPatch>;

/// The part of a step that one of several processes computes: samples [first, first + count) of `total`.
struct StepShare {
  int64_t first = 0, count = 0, total = 0;
  int64_t idle = 0;  ///< batches behind them that do not count: others have so many more
};

/// The patches of an epoch, cut into optimiser steps of `patches_per_step` (0: one case a step). Cases come
/// in an order drawn from (seed, epoch).
std::vector<PlannedStep> plan_epoch(const SampleSources& samplers, int64_t patches_per_step, uint64_t seed,
                                    int64_t epoch);

/// Draws the batches of an epoch on threads of its own, a few ahead of the trainer, as many as fit in
/// `workers`' memory. What comes out of next() depends neither on timing nor on the number of threads: every
/// patch has its own random stream.
class BatchStream {
 public:
  /// `samplers` must outlive the stream. The steps before `first_step` are left out. The batches lie where
  /// `device` reads them best (pinned_for).
  BatchStream(const SampleSources& samplers, const std::vector<PlannedStep>& steps, int64_t batch,
              int64_t first_step, uint64_t seed, int64_t epoch, const Workers& workers,
              torch::Device device = torch::kCPU);

  /// The next batch, in order; rethrows what went wrong while it was drawn. Must not be called after the last
  /// one.
  Batch next() { return drawn_->next(); }

 private:
  Batch draw(const std::vector<PlannedPatch>& patches) const;
  int64_t bytes(const std::vector<PlannedPatch>& patches) const;

  const SampleSources& samplers_;
  const uint64_t seed_;
  const int64_t epoch_;
  const torch::Device device_;
  std::vector<std::vector<PlannedPatch>> batches_;
  std::optional<ResultStream<Batch>> drawn_;  ///< last member: its threads use the others
};

}  // namespace mambaseg
