#include "mambaseg/core/random.h"

#include <cmath>
#include <numbers>

namespace mambaseg {
namespace {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

}  // namespace

Random::Random(uint64_t seed, uint64_t stream)
    : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
      counter_{0, 0, static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)} {}

uint32_t Random::bits() {
  if (used_ == 4) {
    block_ = philox(counter_, key_);
    if (++counter_[0] == 0) ++counter_[1];
    used_ = 0;
  }
  return block_[static_cast<size_t>(used_++)];
}

float Random::uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }

double Random::uniform(double low, double high) { return low + (high - low) * bits() * 0x1p-32; }

int64_t Random::below(int64_t count) {
  const auto n = static_cast<uint64_t>(count);
  const uint64_t wide = (uint64_t{bits()} << 32) | bits();
  return static_cast<int64_t>(static_cast<unsigned __int128>(wide) * n >> 64);
}

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log((bits() + 0.5) * 0x1p-32));
  return radius * std::cos(2.0 * std::numbers::pi * bits() * 0x1p-32);
}

uint64_t stream_of(uint64_t a, uint64_t b, uint64_t c) {
  const auto mixed = philox({static_cast<uint32_t>(b), static_cast<uint32_t>(b >> 32),
                             static_cast<uint32_t>(c), static_cast<uint32_t>(c >> 32)},
                            {static_cast<uint32_t>(a), static_cast<uint32_t>(a >> 32)});
  return (uint64_t{mixed[0]} << 32) | mixed[1];
}

}  // namespace mambaseg
