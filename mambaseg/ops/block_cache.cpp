#include "mambaseg/ops/block_cache.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <vector>

namespace mambaseg {
namespace {

constexpr size_t kSmallest = size_t{1} << 20;  ///< smaller blocks come from malloc
constexpr size_t kUnit = size_t{1} << 21;      ///< a huge page, which the system clears faster
constexpr size_t kHeader = 64;  ///< in front of the tensor: the size of the block, 0 from malloc

class BlockCache {
 public:
  /// A block of at least `bytes`, of any content.
  void* take(size_t bytes) {
    const size_t wanted = (bytes + kHeader + kUnit - 1) / kUnit * kUnit;
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kept_.lower_bound(wanted);
    const bool fits = found != kept_.end() && found->first <= wanted + wanted / 4;
    void* block = fits ? found->second : nullptr;
    const size_t size = fits ? found->first : wanted;
    if (fits) {
      kept_.erase(found);
      state_.kept -= size;
    }
    state_.in_use += size;
    state_.most_in_use = std::max(state_.most_in_use, state_.in_use);
    give_back_down_to(state_.most_in_use - state_.in_use);
    if (!block) block = mapped(size);
    *static_cast<size_t*>(block) = size;
    return static_cast<char*>(block) + kHeader;
  }

  void put(void* data) {
    void* block = static_cast<char*>(data) - kHeader;
    const size_t size = *static_cast<size_t*>(block);
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_.emplace(size, block);
    state_.kept += size;
    state_.in_use -= size;
  }

  BlockCacheState state() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return state_;
  }

 private:
  /// Largest first: few calls of the system.
  void give_back_down_to(size_t allowed) {
    while (state_.kept > allowed) {
      const auto largest = std::prev(kept_.end());
      munmap(largest->second, largest->first);
      state_.kept -= largest->first;
      kept_.erase(largest);
    }
  }

  void* mapped(size_t size) {
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
    return block;
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> kept_;  ///< by size
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

BlockCacheState block_cache_state() { return cache().state(); }

}  // namespace mambaseg
