#include "tests/guarded/guarded_memory.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* block);
void* __libc_realloc(void* block, size_t bytes);
}

namespace {

constexpr size_t kGuard = 4096;
constexpr size_t kAlignment = 64;  ///< at least
constexpr unsigned char kUntouched = 0xa5;
constexpr size_t kRoom = size_t{1} << 16;  ///< blocks at a time
constexpr size_t kLines = 64;

struct Block {
  unsigned char* data = nullptr;
  size_t bytes = 0;
};

// Nothing here may allocate: it runs inside of the allocation.
std::array<Block, kRoom> table;  // open addressing
std::array<std::array<char, 120>, kLines> lines;
size_t line_count = 0;
std::atomic<size_t> taken{0};
std::atomic_flag busy = ATOMIC_FLAG_INIT;

class Lock {
 public:
  Lock() {
    while (busy.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~Lock() { busy.clear(std::memory_order_release); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};

size_t place_of(const void* data) {
  return (reinterpret_cast<uintptr_t>(data) / kAlignment * 40503u) % kRoom;
}

Block* find(const void* data) {
  for (size_t i = place_of(data), steps = 0; steps < kRoom && table[i].data; i = (i + 1) % kRoom, ++steps)
    if (table[i].data == data) return &table[i];
  return nullptr;
}

void insert(Block block) {
  size_t i = place_of(block.data), steps = 0;
  while (table[i].data) {
    i = (i + 1) % kRoom;
    if (++steps == kRoom) std::abort();
  }
  table[i] = block;
}

/// Later blocks of the same run of places move up.
void erase(Block* block) {
  auto hole = static_cast<size_t>(block - table.data());
  table[hole] = {};
  for (size_t i = (hole + 1) % kRoom; table[i].data; i = (i + 1) % kRoom) {
    const Block moved = table[i];
    table[i] = {};
    insert(moved);
  }
}

void check(const Block& b) {
  const auto tell = [&](const char* where, size_t distance) {
    if (line_count < kLines)
      std::snprintf(lines[line_count].data(), lines[line_count].size(), "%zu bytes %s a block of %zu",
                    distance, where, b.bytes);
    ++line_count;
  };
  for (size_t i = 1; i <= kGuard; ++i)
    if (b.data[-static_cast<ptrdiff_t>(i)] != kUntouched) {
      tell("in front of", i);
      break;
    }
  for (size_t i = 0; i < kGuard; ++i)
    if (b.data[b.bytes + i] != kUntouched) {
      tell("behind", i);
      break;
    }
}

void restore(const Block& b) {
  std::memset(b.data - kGuard, kUntouched, kGuard);
  std::memset(b.data + b.bytes, kUntouched, kGuard);
}

void release(Block* block) {
  check(*block);
  unsigned char* data = block->data;
  erase(block);
  __libc_free(data - kGuard);
}

}  // namespace

extern "C" {

int posix_memalign(void** out, size_t alignment, size_t bytes) {
  if (alignment > kGuard) return EINVAL;  // no one asks for it here
  auto* base = static_cast<unsigned char*>(
      __libc_memalign(alignment < kAlignment ? kAlignment : alignment, bytes + 2 * kGuard));
  if (!base) return ENOMEM;
  const Block block{base + kGuard, bytes};
  std::memset(block.data, 0xff, bytes);
  restore(block);
  taken.fetch_add(1, std::memory_order_relaxed);
  const Lock lock;
  insert(block);
  *out = block.data;
  return 0;
}

void free(void* data) {
  if (reinterpret_cast<uintptr_t>(data) % kAlignment == 0 && data) {
    const Lock lock;
    if (Block* block = find(data)) return release(block);
  }
  __libc_free(data);
}

void* realloc(void* data, size_t bytes) {
  {
    const Lock lock;
    if (data && find(data)) std::abort();  // no one does it here
  }
  return __libc_realloc(data, bytes);
}
}

namespace mambaseg {

std::vector<std::string> writes_outside_of_blocks() {
  std::array<std::array<char, 120>, kLines> seen;
  size_t count = 0;
  {
    const Lock lock;
    for (const Block& block : table)
      if (block.data) {
        check(block);
        restore(block);
      }
    seen = lines;
    count = line_count;
    line_count = 0;
  }
  std::vector<std::string> result;
  for (size_t i = 0; i < count && i < kLines; ++i) result.emplace_back(seen[i].data());
  if (count > kLines) result.push_back("and " + std::to_string(count - kLines) + " more");
  return result;
}

size_t guarded_blocks() { return taken; }

}  // namespace mambaseg
