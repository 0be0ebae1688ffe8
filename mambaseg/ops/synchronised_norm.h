#pragma once

#include <functional>

#include <torch/types.h>

#include "mambaseg/ops/norm.h"

namespace mambaseg {

/// What all ranks (processes that train one network together) have at the place of `mine`, one after the
/// other along a new first axis. All make the same calls in the same order.
using OfAllRanks = std::function<torch::Tensor(const torch::Tensor& mine)>;

/// While one lives, batch_norm on this thread norms by the statistics of what all ranks hold at this moment
/// (synchronised batch norm: Peng et al. 2018, MegDet, section 3.2), in the backward pass, too.
class SynchronisedBatchNorms {
 public:
  /// Without `counts` the samples of this rank enter no statistics: they are normed by those of the others.
  /// Their scores must have no gradient then.
  SynchronisedBatchNorms(OfAllRanks of_all_ranks, bool counts);
  ~SynchronisedBatchNorms();
  SynchronisedBatchNorms(const SynchronisedBatchNorms&) = delete;
  SynchronisedBatchNorms& operator=(const SynchronisedBatchNorms&) = delete;

  /// Of this thread; null: none.
  static const SynchronisedBatchNorms* active();
  /// batch_norm, before its epilogue.
  torch::Tensor norm(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                     RunningStatistics running, double eps) const;

 private:
  OfAllRanks of_all_ranks_;
  bool counts_;
  const SynchronisedBatchNorms* before_;
};

}  // namespace mambaseg
