#include "mambaseg/kernels/class_votes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace mambaseg {
namespace {

const int64_t kClasses[] = {1, 2, 3, 7, 16, 30, 33, 117};
constexpr int64_t kRows = 5;

/// The half nearest to x, ties to even: the specification of the kernels' rounding. Steps of halves are
/// 2^-24 below 2^-14, and 2^-10 of the power of two elsewhere.
float rounded_to_half(float x) {
  if (x == 0) return x;
  const int exponent = std::max(std::ilogb(x), -14);
  const float step = std::ldexp(1.0f, exponent - 10), y = std::nearbyint(x / step) * step;
  return std::abs(y) >= 65536 ? std::copysign(INFINITY, x) : y;
}

/// The bits of a number that is a half.
Float16 half(float x) {
  const float size = std::abs(x);
  uint32_t bits = 0x7C00;
  if (size < 0x1p-14f)
    bits = static_cast<uint32_t>(size * 0x1p24f);
  else if (std::isfinite(x))
    bits = static_cast<uint32_t>(std::ilogb(size) + 14) * 1024 +
           static_cast<uint32_t>(std::scalbn(size, 10 - std::ilogb(size)));
  return {static_cast<uint16_t>(bits | (std::signbit(x) ? 0x8000 : 0))};
}

template <class T>
T number(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return half(rounded_to_half(x));
}
float value(float x) { return x; }
float value(Float16 x) { return to_float(x); }

/// Numbers with something behind them that no kernel may touch.
template <class T>
struct Guarded {
  static constexpr int64_t kBehind = 20;
  std::vector<T> all;

  explicit Guarded(const std::vector<float>& values) {
    for (const float v : values) all.push_back(number<T>(v));
    for (int64_t i = 0; i < kBehind; ++i) all.push_back(number<T>(-7));
  }
  T* data() { return all.data(); }
  float operator[](int64_t i) const { return value(all[static_cast<size_t>(i)]); }
  bool untouched() const {
    return std::all_of(all.end() - kBehind, all.end(), [](T v) { return value(v) == -7; });
  }
};

std::vector<float> random_numbers(int64_t count, unsigned seed, float low, float high) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<float> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(uniform(engine));
  return out;
}

template <class T>
class ClassVotes : public testing::Test {};
using Types = testing::Types<float, Float16>;
TYPED_TEST_SUITE(ClassVotes, Types);

/// Half a step of T at x.
template <class T>
double rounding(double x) {
  return std::is_same_v<T, float> ? 0x1p-24 * std::abs(x) : std::max(0x1p-11 * std::abs(x), 0x1p-25);
}

TYPED_TEST(ClassVotes, SoftmaxIsWeightedAndAdded) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t classes : kClasses) {
      Guarded<float> scores(random_numbers(kRows * classes, 1, -40, 40));
      const auto weights = random_numbers(kRows, 2, 0.001f, 10);
      const Guarded<TypeParam> before(random_numbers(kRows * classes, 3, 0, 20));
      Guarded<TypeParam> sums = before;
      Guarded<float> scratch(std::vector<float>(static_cast<size_t>(classes)));
      add_softmax(scores.data(), kRows, classes, weights.data(), sums.data(), scratch.data(), target);
      for (int64_t r = 0; r < kRows; ++r) {
        double most = scores[r * classes], total = 0;
        for (int64_t c = 0; c < classes; ++c) most = std::max<double>(most, scores[r * classes + c]);
        for (int64_t c = 0; c < classes; ++c) total += std::exp(scores[r * classes + c] - most);
        for (int64_t c = 0; c < classes; ++c) {
          const int64_t at = r * classes + c;
          const double added = weights[size_t(r)] * std::exp(scores[at] - most) / total;
          const double expected = before[at] + added;
          EXPECT_NEAR(sums[at], expected,
                      1e-6 * added + 1e-36 + 0x1p-24 * expected + rounding<TypeParam>(expected) * (1 + 1e-5))
              << target.name << " " << classes;
        }
      }
      EXPECT_TRUE(sums.untouched() && scratch.untouched()) << target.name << " " << classes;
    }
}

TYPED_TEST(ClassVotes, VotesAreWeightedAndAdded) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t classes : kClasses) {
      Guarded<float> votes(random_numbers(kRows * classes, 4, 0, 1));
      const auto weights = random_numbers(kRows, 5, 0.001f, 10);
      const Guarded<TypeParam> before(random_numbers(kRows * classes, 6, 0, 20));
      Guarded<TypeParam> sums = before;
      add_weighted(votes.data(), kRows, classes, weights.data(), sums.data(), target);
      for (int64_t at = 0; at < kRows * classes; ++at) {
        const double product = double(votes[at]) * weights[size_t(at / classes)],
                     expected = product + before[at];
        EXPECT_NEAR(sums[at], expected,
                    0x1p-24 * (product + expected) + rounding<TypeParam>(expected) * (1 + 1e-5))
            << target.name << " " << classes;
      }
      EXPECT_TRUE(sums.untouched());
    }
}

TYPED_TEST(ClassVotes, NormalisedVotesAreSharesOfTheTotal) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t classes : kClasses)
      for (const VoteTotal of : {VoteTotal::sum, VoteTotal::first}) {
        auto drawn = random_numbers(kRows * classes, 7, 0, 20);
        std::fill_n(drawn.begin(), classes, 0.0f);  // a voxel without votes
        std::vector<float> apart;                   // three numbers between the voxels
        for (int64_t r = 0; r < kRows; ++r) {
          apart.insert(apart.end(), drawn.begin() + r * classes, drawn.begin() + (r + 1) * classes);
          apart.insert(apart.end(), 3, 99.0f);
        }
        Guarded<TypeParam> sums(apart);
        const int64_t stride = classes + 3, padded = padded_classes(classes);
        Guarded<float> p(std::vector<float>(static_cast<size_t>(kRows * padded), 5));
        normalise_votes(sums.data(), kRows, classes, stride, of, p.data(), target);
        for (int64_t r = 0; r < kRows; ++r) {
          double total = sums[r * stride];
          for (int64_t c = 1; c < classes && of == VoteTotal::sum; ++c) total += sums[r * stride + c];
          for (int64_t c = 0; c < padded; ++c) {
            const double expected = c < classes ? sums[r * stride + c] / std::max(total, 1e-30) : 0;
            EXPECT_NEAR(p[r * padded + c], expected, (double(classes) + 1) * 0x1p-24 * expected)
                << target.name << " " << classes;
          }
        }
        EXPECT_TRUE(p.untouched());
      }
}

TYPED_TEST(ClassVotes, TheFirstLargestOrTheLastAboveHalfWins) {
  for (const SimdTarget target : supported_targets())
    for (const int64_t classes : kClasses) {
      const int64_t stride = classes + 3;
      for (unsigned seed = 0; seed < 20; ++seed) {
        auto drawn = random_numbers(kRows * stride, seed, -1, 1);
        for (float& v : drawn) v = std::nearbyint(v * 4) / 4;  // so that many are equal
        Guarded<TypeParam> votes(drawn);
        std::vector<uint8_t> winner(kRows + 1, 77);
        for (const VoteTotal of : {VoteTotal::sum, VoteTotal::first}) {
          winning_class(votes.data(), kRows, classes, stride, of, winner.data(), target);
          for (int64_t r = 0; r < kRows; ++r) {
            int64_t expected = 0;
            for (int64_t c = 1; c < classes; ++c)
              if (of == VoteTotal::sum ? votes[r * stride + c] > votes[r * stride + expected]
                                       : votes[r * stride + c] > 0.5f * votes[r * stride])
                expected = c;
            EXPECT_EQ(winner[size_t(r)], expected) << target.name << " " << classes << " " << seed;
          }
          EXPECT_EQ(winner[kRows], 77);
        }
      }
    }
}

TEST(Halves, AreReadAndWrittenAsTheStandardSays) {
  for (const SimdTarget target : supported_targets()) {
    std::vector<float> numbers{65519,      65520,    1e30f,        0x1p-25f,
                               0x1.8p-25f, 0x1p-24f, 0x1.ffcp-15f, 0x1.ffep-15f};
    for (int exponent = -26; exponent < 17; ++exponent)
      for (const float v : random_numbers(40, static_cast<unsigned>(exponent + 50), 1, 2))
        numbers.push_back(std::ldexp(v, exponent));
    const auto count = static_cast<int64_t>(numbers.size());
    for (int64_t i = 0; i < count; ++i) numbers.push_back(-numbers[size_t(i)]);
    const auto rows = static_cast<int64_t>(numbers.size());
    const std::vector<float> ones(numbers.size(), 1);
    std::vector<Float16> halves(numbers.size());
    add_weighted(numbers.data(), 1, rows, ones.data(), halves.data(), target);
    for (size_t i = 0; i < numbers.size(); ++i) {
      const float expected = rounded_to_half(numbers[i]);
      EXPECT_EQ(to_float(halves[i]), expected) << target.name << " " << numbers[i];
      EXPECT_EQ(halves[i].bits, half(expected).bits) << target.name << " " << numbers[i];
    }
    // And read: nothing is added to what is there.
    std::vector<float> zeros(numbers.size());
    std::vector<Float16> again = halves;
    add_weighted(zeros.data(), 1, rows, ones.data(), again.data(), target);
    for (size_t i = 0; i < numbers.size(); ++i)
      EXPECT_EQ(to_float(again[i]), to_float(halves[i])) << target.name;
  }
}

TEST(ClassVotesBlend, IsLinear) {
  for (const SimdTarget target : supported_targets()) {
    const int64_t count = padded_classes(30);
    const auto a = random_numbers(count, 8, 0, 1), b = random_numbers(count, 9, 0, 1);
    std::vector<float> out(static_cast<size_t>(count));
    blend_votes(a.data(), b.data(), 0.3f, count, out.data(), target);
    for (size_t i = 0; i < out.size(); ++i)
      EXPECT_NEAR(out[i], a[i] + 0.3f * (double(b[i]) - a[i]), 2 * 0x1p-24) << target.name;
  }
}

}  // namespace
}  // namespace mambaseg
