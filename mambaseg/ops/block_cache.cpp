#include "mambaseg/ops/block_cache.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

namespace mambaseg {
namespace {

constexpr size_t kSmallest = size_t{1} << 20;  ///< smaller blocks come from malloc
constexpr size_t kUnit = size_t{1} << 21;      ///< a huge page, which the system clears faster
constexpr size_t kHeader = 64;  ///< in front of the tensor: the size of the block, 0 from malloc

class BlockCache {
 public:
  /// A block of at least `bytes`, of any content.
  void* take(size_t bytes) {
    const size_t size = (bytes + kHeader + kUnit - 1) / kUnit * kUnit;
    const std::lock_guard<std::mutex> lock(mutex_);
    char* block = kept_block(size);
    state_.in_use += size;
    state_.most_in_use = std::max(state_.most_in_use, state_.in_use);
    give_back_down_to(state_.most_in_use - state_.in_use);
    if (!block) block = mapped(size);
    *reinterpret_cast<size_t*>(block) = size;
    return block + kHeader;
  }

  void put(void* data) {
    char* block = static_cast<char*>(data) - kHeader;
    const size_t size = *reinterpret_cast<size_t*>(block);
    const std::lock_guard<std::mutex> lock(mutex_);
    state_.in_use -= size;
    keep(block, size);
  }

  void give_back() {
    const std::lock_guard<std::mutex> lock(mutex_);
    give_back_down_to(0);
  }

  BlockCacheState state() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return state_;
  }

 private:
  using Range = std::map<char*, size_t>::iterator;

  /// The front of the smallest kept range that is large enough, or nullptr.
  char* kept_block(size_t size) {
    Range best = kept_.end();
    for (Range r = kept_.begin(); r != kept_.end(); ++r)
      if (r->second >= size && (best == kept_.end() || r->second < best->second)) best = r;
    if (best == kept_.end()) return nullptr;
    const auto [begin, length] = *best;
    kept_.erase(best);
    state_.kept -= size;
    if (length > size) kept_.emplace(begin + size, length - size);
    return begin;
  }

  /// Adds a range, joined with its neighbours.
  void keep(char* begin, size_t size) {
    state_.kept += size;
    Range next = kept_.lower_bound(begin);
    if (next != kept_.end() && begin + size == next->first) {
      size += next->second;
      next = kept_.erase(next);
    }
    if (next != kept_.begin()) {
      const Range before = std::prev(next);
      if (before->first + before->second == begin) {
        before->second += size;
        return;
      }
    }
    kept_.emplace(begin, size);
  }

  /// The smallest ranges go first: they serve the fewest.
  void give_back_down_to(size_t allowed) {
    while (state_.kept > allowed) {
      const Range smallest = std::min_element(
          kept_.begin(), kept_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
      const size_t given = std::min(smallest->second, state_.kept - allowed);
      smallest->second -= given;
      munmap(smallest->first + smallest->second, given);
      state_.kept -= given;
      if (smallest->second == 0) kept_.erase(smallest);
    }
  }

  char* mapped(size_t size) {
    void* block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
      give_back_down_to(0);
      block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (block == MAP_FAILED) {
      state_.in_use -= size;
      throw std::bad_alloc();
    }
#ifdef MADV_HUGEPAGE
    madvise(block, size, MADV_HUGEPAGE);  // a wish
#endif
    return static_cast<char*>(block);
  }

  std::mutex mutex_;
  std::map<char*, size_t> kept_;  ///< ranges of memory by their beginning, no two of them adjacent
  BlockCacheState state_;
};

BlockCache& cache() {
  static BlockCache* const cache = new BlockCache;  // outlives every tensor
  return *cache;
}

void* take(size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes >= kSmallest) return cache().take(bytes);
  void* block = std::aligned_alloc(kHeader, kHeader + (bytes + kHeader - 1) / kHeader * kHeader);
  if (!block) throw std::bad_alloc();
  *static_cast<size_t*>(block) = 0;
  return static_cast<char*>(block) + kHeader;
}

void put_back(void* data) {
  if (!data) return;
  void* block = static_cast<char*>(data) - kHeader;
  if (*static_cast<size_t*>(block) > 0)
    cache().put(data);
  else
    std::free(block);
}

/// Releases of LibTorch differ in whether `allocate` is const and whether there is `copy_data`: both forms
/// are here, without `override`, and the release at hand takes its own.
class CachingAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) const {
    void* data = take(bytes);
    return {data, data, &put_back, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DataPtr allocate(size_t bytes) { return static_cast<const CachingAllocator*>(this)->allocate(bytes); }
  c10::DeleterFnPtr raw_deleter() const override { return &put_back; }
  void copy_data(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }
};

}  // namespace

void cache_tensor_blocks() {
  static CachingAllocator allocator;
  c10::SetCPUAllocator(&allocator, /*priority=*/1);
}

void give_back_tensor_blocks() { cache().give_back(); }

BlockCacheState block_cache_state() { return cache().state(); }

}  // namespace mambaseg
