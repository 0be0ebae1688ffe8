#pragma once

#include <array>
#include <cstdint>

namespace mambaseg {

/// Counter-based random numbers (Philox 4x32-10; Salmon et al. 2011, "Parallel random numbers: as easy as 1,
/// 2, 3"). The numbers depend only on (seed, stream) and on how many were drawn: a stream per (epoch, case,
/// ...) makes work repeatable whatever thread does it, and a resumed run draws what the uninterrupted one
/// would have drawn.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0);

  uint32_t bits();
  /// Uniform in [0, 1), 24 random bits.
  float uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high);
  /// Uniform whole number in [0, count); count > 0.
  int64_t below(int64_t count);
  /// Normal with mean 0 and standard deviation 1 (Box-Muller).
  double normal();
  bool coin(double probability) { return uniform() < probability; }

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

/// One stream number out of several indices, for Random's second argument.
uint64_t stream_of(uint64_t a, uint64_t b = 0, uint64_t c = 0);

}  // namespace mambaseg
