#pragma once

#include <chrono>
#include <future>
#include <vector>

#include "mambaseg/train/world.h"
#include "tests/train/free_port.h"

namespace mambaseg {

/// Runs `work` as each of `size` ranks, each on a thread; what they return, or how they failed.
template <class Work>
auto on_ranks(int size, Work work, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
  using Result = decltype(work(std::declval<World&>()));
  const uint16_t port = free_port();
  std::vector<std::future<Result>> ranks;
  for (int rank = 0; rank < size; ++rank)
    ranks.push_back(std::async(std::launch::async, [=] {
      WorldPlace place;
      place.rank = rank, place.size = size, place.address = "127.0.0.1", place.port = port;
      World world(place, torch::kCPU, patience);
      return work(world);
    }));
  std::vector<Result> results;
  for (auto& rank : ranks) results.push_back(rank.get());
  return results;
}

}  // namespace mambaseg
