#pragma once

#include <memory>
#include <vector>

#include <torch/nn/module.h>
#include <torch/types.h>

#include "mambaseg/train/world.h"

namespace mambaseg {

/// Adds the gradients of all ranks up, in buckets that go on their way while the backward pass computes the
/// next ones (Li et al. 2020, PyTorch Distributed, section 3.2). Of one rank it does nothing.
class GradientSums {
 public:
  /// Both are used, not copied.
  GradientSums(const torch::nn::Module& network, World& world, int64_t bucket_bytes = int64_t{8} << 20);
  ~GradientSums();

  /// The backward pass that follows is the last of the step on this rank.
  void last_pass();
  /// Behind it, or in its place where this rank has no samples: waits for all. Then every gradient is the sum
  /// of those of all ranks, and undefined where no rank has one. Throws RankLost.
  void finish();

 private:
  class Arrival;
  struct Bucket {
    std::vector<size_t> parameters;
    int64_t values = 0;
    size_t missing = 0;
    std::shared_ptr<World::Sum> sum;
    torch::Tensor flat;
  };
  void arrived(size_t bucket);
  void begin_sums(bool all);

  World& world_;
  std::vector<torch::Tensor> parameters_;
  std::vector<Bucket> buckets_;  ///< from the last parameters, whose gradients come first
  size_t begun_ = 0;             ///< so many buckets are on their way: the same order on every rank
  bool last_ = false;
  struct Hooks;
  std::unique_ptr<Hooks> hooks_;
};

}  // namespace mambaseg
