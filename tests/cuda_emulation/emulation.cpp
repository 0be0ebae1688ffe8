#include "tests/cuda_emulation/emulation.h"

#include <ucontext.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "tests/cuda_emulation/cuda_runtime.h"

dim3 gridDim, blockDim, blockIdx, threadIdx;

namespace mambaseg::emulation {
namespace {

constexpr unsigned kWarpThreads = 32;
constexpr size_t kStackBytes = size_t{1} << 18;

Turns turns_now = Turns::forwards;

/// The index that has turn `turn` of `count`.
unsigned at_turn(unsigned turn, unsigned count) {
  switch (turns_now) {
    case Turns::forwards:
      return turn;
    case Turns::backwards:
      return count - 1 - turn;
    case Turns::interleaved:  // the odd ones, then the even ones
      return turn < count / 2 ? 2 * turn + 1 : 2 * (turn - count / 2);
  }
  return turn;
}

[[noreturn]] void give_up(const char* why) {
  std::fprintf(stderr, "emulated kernel: block %u, thread %u: %s\n", blockIdx.x, threadIdx.x, why);
  std::abort();
}

/// Where threads wait for each other. `round` counts how often all have met.
struct Meeting {
  unsigned members = 0, here = 0;
  unsigned round = 0;
  int lane_xor = 0;                                             // of the shuffle of this round
  std::array<std::array<uint32_t, kWarpThreads>, 2> numbers{};  // of this round and the one before
};

struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  bool ended = false;
};

/// The block that runs.
class Block {
 public:
  void run(unsigned threads, const std::function<void()>& kernel) {
    kernel_ = &kernel;
    while (threads_.size() < threads) {
      threads_.emplace_back();
      threads_.back().stack = std::make_unique<char[]>(kStackBytes);
    }
    all_ = {};
    all_.members = threads;
    warps_.assign((threads + kWarpThreads - 1) / kWarpThreads, {});
    for (unsigned t = 0; t < threads; ++t) {
      ++warps_[t / kWarpThreads].members;
      Thread& thread = threads_[t];
      thread.ended = false;
      getcontext(&thread.context);
      thread.context.uc_stack.ss_sp = thread.stack.get();
      thread.context.uc_stack.ss_size = kStackBytes;
      thread.context.uc_link = &scheduler_;
      makecontext(&thread.context, &Block::begin, 0);
    }
    for (unsigned running = threads; running > 0;) {
      progress_ = false;
      for (unsigned turn = 0; turn < threads; ++turn) {
        const unsigned t = at_turn(turn, threads);
        if (threads_[t].ended) continue;
        threadIdx = dim3(t);
        swapcontext(&scheduler_, &threads_[t].context);
        if (threads_[t].ended) --running;
      }
      if (!progress_) give_up("waits for a thread that has ended");
    }
  }

  /// Waits for all members; returns the round in which they met.
  unsigned meet(Meeting& meeting) {
    const unsigned round = meeting.round;
    if (++meeting.here == meeting.members) {
      meeting.here = 0;
      ++meeting.round;
      progress_ = true;
      return round;
    }
    const dim3 me = threadIdx;
    while (meeting.round == round) swapcontext(&threads_[me.x].context, &scheduler_);
    return round;
  }
  Meeting& all() { return all_; }
  Meeting& warp() { return warps_[threadIdx.x / kWarpThreads]; }

 private:
  static void begin();
  std::vector<Thread> threads_;
  std::vector<Meeting> warps_;
  Meeting all_;
  ucontext_t scheduler_;
  const std::function<void()>* kernel_ = nullptr;
  bool progress_ = false;  // since all had their turn
};

Block block;

void Block::begin() {
  (*block.kernel_)();
  block.threads_[threadIdx.x].ended = true;
  block.progress_ = true;
}

}  // namespace

void take_turns(Turns turns) { turns_now = turns; }

void run_grid(const dim3& blocks, const dim3& threads, const std::function<void()>& kernel) {
  gridDim = blocks;
  blockDim = threads;
  for (unsigned turn = 0; turn < blocks.x; ++turn) {
    blockIdx = dim3(at_turn(turn, blocks.x));
    block.run(threads.x, kernel);
  }
}

uint32_t exchange(uint32_t bits, int lane_xor) {
  Meeting& warp = block.warp();
  const unsigned lane = threadIdx.x % kWarpThreads;
  if (warp.here == 0) warp.lane_xor = lane_xor;
  if (warp.lane_xor != lane_xor) give_up("its warp is at another shuffle");
  warp.numbers[warp.round % 2][lane] = bits;
  const unsigned round = block.meet(warp);
  return warp.numbers[round % 2][lane ^ static_cast<unsigned>(lane_xor)];
}

}  // namespace mambaseg::emulation

void __syncthreads() { mambaseg::emulation::block.meet(mambaseg::emulation::block.all()); }
