#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/types.h>

#include "mambaseg/core/error.h"

namespace mambaseg {

/// Where a process stands among those that train one network together, and where they meet, which rank 0
/// keeps.
struct WorldPlace {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  ///< on its machine
  std::string address;                 ///< host of the meeting place
  uint16_t port = 0;
};

/// Another rank stopped or answers no more. The message names it.
class RankLost : public Error {
 public:
  using Error::Error;
};

/// The processes that train one network together ("ranks"): what they add up and tell each other, by the
/// collectives of LibTorch (c10d): Gloo between processors, NCCL between GPUs where it was compiled in. All
/// ranks make the same calls in the same order. A call that waits for a rank that stopped ends within some
/// seconds, for one that is silent after the patience, with RankLost.
class World {
 public:
  /// Alone: sums are what they are, and nobody is waited for.
  World();
  /// Meets the others. RankLost when they do not come within the patience, UsageError for a GPU where NCCL
  /// was not compiled in.
  World(const WorldPlace& place, torch::Device device, std::chrono::milliseconds patience);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  bool alone() const { return place_.size == 1; }
  /// Whether this rank writes the files and speaks for all.
  bool leads() const { return place_.rank == 0; }

  /// Which of `count` things are this rank's: [first, last). Parts differ by one at most, in the order of
  /// ranks.
  std::pair<int64_t, int64_t> share(int64_t count) const;

  /// A sum that is on its way.
  class Sum;
  /// Begins to add `tensor`, dense and on the device, up over all ranks, in place.
  std::shared_ptr<Sum> begin_sum(torch::Tensor tensor);
  void finish(Sum& sum);
  /// The sums over all ranks.
  std::vector<double> sums(const std::vector<double>& values);

  /// What all ranks have at the place of `mine`, of the same sizes and on the device, along a new first axis.
  torch::Tensor of_all(const torch::Tensor& mine);

  /// What each rank says, in their order. A rank that lives and works is waited for as long as it takes.
  std::vector<std::string> said(const std::string& mine);
  /// Tells the others why this rank stops, which they then say.
  void stop(const std::string& why) noexcept;

 private:
  struct Connection;
  [[noreturn]] void lost(const std::string& cause);

  WorldPlace place_;
  std::chrono::milliseconds patience_{0};
  std::shared_ptr<Connection> connection_;
};

}  // namespace mambaseg
