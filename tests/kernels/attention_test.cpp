#include "mambaseg/kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace mambaseg {
namespace {

struct Case {
  int64_t tokens, size;
  bool biased, dropped;
};
const Case kCases[] = {{1, 1, false, false},  {7, 3, true, true},   {16, 16, true, false},
                       {49, 32, true, false}, {50, 24, true, true}, {33, 64, false, true},
                       {130, 5, true, false}, {96, 40, true, true}};
constexpr int64_t kApart = 3;  // numbers between the rows
constexpr float kUntouched = -7;

float number_of(float x, float) { return x; }
Bfloat16 number_of(float x, Bfloat16) { return to_bfloat16(x); }

/// Rows with numbers between and behind them that no kernel may touch.
template <class T>
struct Rows {
  int64_t count, size;
  std::vector<T> all;

  Rows(int64_t rows, int64_t columns)
      : count(rows),
        size(columns),
        all(static_cast<size_t>(rows * (columns + kApart) + 32), number_of(kUntouched, T())) {}
  Rows(int64_t rows, int64_t columns, std::mt19937& engine) : Rows(rows, columns) {
    std::normal_distribution<float> normal;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) data()[r * stride() + c] = number_of(normal(engine), T());
  }
  T* data() { return all.data(); }
  int64_t stride() const { return size + kApart; }
  double operator()(int64_t r, int64_t c) const {
    return to_float(all[static_cast<size_t>(r * stride() + c)]);
  }
  bool untouched_between() const {
    for (size_t i = 0; i < all.size(); ++i) {
      const auto row = static_cast<int64_t>(i) / stride(), column = static_cast<int64_t>(i) % stride();
      if ((row >= count || column >= size) && to_float(all[i]) != kUntouched) return false;
    }
    return true;
  }
};

using Matrix = std::vector<std::vector<double>>;
Matrix zeros(int64_t rows, int64_t columns) {
  return Matrix(static_cast<size_t>(rows), std::vector<double>(static_cast<size_t>(columns)));
}

/// A result by its definition in double, and the same of absolute values, which is what roundings scale with.
struct Expected {
  Matrix value, size;
  Expected(int64_t rows, int64_t columns) : value(zeros(rows, columns)), size(zeros(rows, columns)) {}
  void add(int64_t r, int64_t c, double x, double absolute) {
    value[size_t(r)][size_t(c)] += x;
    size[size_t(r)][size_t(c)] += absolute;
  }
};

template <class T>
class AttentionKernel : public testing::Test {
 protected:
  void draw(const Case& c) {
    std::mt19937 engine(static_cast<unsigned>(c.tokens * 100 + c.size));
    const int64_t L = c.tokens, D = c.size;
    for (Rows<T>* rows : {&q, &k, &v, &dy}) *rows = Rows<T>(L, D, engine);
    pairs.clear(), regions.clear(), kept.clear();
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < L * L && c.biased; ++i) pairs.push_back(normal(engine));
    for (int64_t i = 0; i < L && c.biased; ++i) regions.push_back(static_cast<float>(engine() % 2));
    for (int64_t i = 0; i < L * L && c.dropped; ++i) kept.push_back(engine() % 4 != 0);
    head = {L, D, {q.data(), q.stride()}, {k.data(), k.stride()}, {v.data(), v.stride()}};
    if (c.biased) head.pairs = pairs.data(), head.regions = regions.data();
    if (c.dropped) head.kept = kept.data(), head.kept_scale = 4.0f / 3;
    define();
  }

  void define() {
    const int64_t L = head.tokens, D = head.size;
    const double scale = 1 / std::sqrt(static_cast<double>(D));
    y = dq = dk = dv = Expected(L, D);
    dpairs = Expected(L, L);
    double most = 0;  // of what a score is summed of
    for (int64_t i = 0; i < L; ++i) {
      std::vector<double> w, g, g_size;
      double total = 0, mean = 0, mean_size = 0;
      for (int64_t j = 0; j < L; ++j) {
        double s = head.pairs ? pairs[size_t(i * L + j)] : 0, size = std::abs(s);
        for (int64_t d = 0; d < D; ++d)
          s += q(i, d) * k(j, d) * scale, size += std::abs(q(i, d) * k(j, d) * scale);
        if (head.regions && regions[size_t(i)] != regions[size_t(j)]) s -= 100;
        most = std::max(most, size);
        w.push_back(std::exp(s));
        total += w.back();
      }
      for (int64_t j = 0; j < L; ++j) {
        const double stays = head.kept ? kept[size_t(i * L + j)] * double(head.kept_scale) : 1;
        double dw = 0, dw_size = 0;
        w[size_t(j)] /= total;
        for (int64_t d = 0; d < D; ++d) {
          const double applied = w[size_t(j)] * stays;
          y.add(i, d, applied * v(j, d), applied * std::abs(v(j, d)));
          dv.add(j, d, applied * dy(i, d), applied * std::abs(dy(i, d)));
          dw += stays * dy(i, d) * v(j, d), dw_size += stays * std::abs(dy(i, d) * v(j, d));
        }
        g.push_back(dw), g_size.push_back(dw_size);
        mean += w[size_t(j)] * dw, mean_size += w[size_t(j)] * dw_size;
      }
      for (int64_t j = 0; j < L; ++j) {
        const double ds = w[size_t(j)] * (g[size_t(j)] - mean),
                     size = w[size_t(j)] * (g_size[size_t(j)] + mean_size);
        dpairs.add(i, j, ds, size);
        for (int64_t d = 0; d < D; ++d) {
          dq.add(i, d, scale * ds * k(j, d), scale * size * std::abs(k(j, d)));
          dk.add(j, d, scale * ds * q(i, d), scale * size * std::abs(q(i, d)));
        }
      }
    }
    // Roundings of a score become relative ones of its weight; then come sums of L and D terms, the
    // exponential (2e-7) and some products.
    error = 0x1p-24 * (static_cast<double>(D + 3) * most + static_cast<double>(2 * L + D) + 16);
  }

  void expect(const Expected& expected, const Rows<T>& found, const char* what, int64_t begin, int64_t end) {
    const double rounding = std::is_same_v<T, float> ? 0 : 0x1p-8;  // half a step of bf16, of the larger end
    for (int64_t r = begin; r < end; ++r)
      for (int64_t c = 0; c < found.size; ++c)
        ASSERT_NEAR(found(r, c), expected.value[size_t(r)][size_t(c)],
                    error * expected.size[size_t(r)][size_t(c)] +
                        rounding * std::abs(expected.value[size_t(r)][size_t(c)]) + 1e-30)
            << what << " " << r << " " << c;
    EXPECT_TRUE(found.untouched_between()) << what;
  }

  Rows<T> q{0, 0}, k{0, 0}, v{0, 0}, dy{0, 0};
  std::vector<float> pairs, regions;
  std::vector<uint8_t> kept;
  AttentionHead<T> head{};
  Expected y{0, 0}, dq{0, 0}, dk{0, 0}, dv{0, 0}, dpairs{0, 0};
  double error = 0;
};

using Types = testing::Types<float, Bfloat16>;
TYPED_TEST_SUITE(AttentionKernel, Types);

TYPED_TEST(AttentionKernel, ForwardIsItsDefinition) {
  for (const Case& c : kCases) {
    this->draw(c);
    const int64_t begin = c.tokens / 3;
    for (const SimdTarget target : supported_targets()) {
      SCOPED_TRACE(testing::Message() << target.name << ", " << c.tokens << " tokens of " << c.size);
      Rows<TypeParam> y(c.tokens, c.size), part = y;
      Rows<float> scratch(1, attention_scratch(c.tokens, c.size));
      attention_forward(this->head, 0, c.tokens, y.data(), y.stride(), scratch.data(), target);
      this->expect(this->y, y, "y", 0, c.tokens);
      EXPECT_TRUE(scratch.untouched_between());
      attention_forward(this->head, begin, c.tokens, part.data(), part.stride(), scratch.data(), target);
      this->expect(this->y, part, "the later queries", begin, c.tokens);
      for (int64_t r = 0; r < begin; ++r) EXPECT_EQ(part(r, 0), kUntouched);
    }
  }
}

TYPED_TEST(AttentionKernel, GradientsAreTheirDefinition) {
  for (const Case& c : kCases) {
    this->draw(c);
    for (const SimdTarget target : supported_targets()) {
      SCOPED_TRACE(testing::Message() << target.name << ", " << c.tokens << " tokens of " << c.size);
      Rows<TypeParam> dq(c.tokens, c.size), dk = dq, dv = dq;
      std::vector<float> dpairs(static_cast<size_t>(c.tokens * c.tokens + 32), 2.0f);
      Rows<float> scratch(1, attention_backward_scratch(c.tokens, c.size));
      attention_backward(
          this->head,
          {this->dy.data(), dq.data(), dk.data(), dv.data(), dq.stride(), c.biased ? dpairs.data() : nullptr},
          scratch.data(), target);
      EXPECT_TRUE(scratch.untouched_between());
      this->expect(this->dq, dq, "dq", 0, c.tokens);
      this->expect(this->dk, dk, "dk", 0, c.tokens);
      this->expect(this->dv, dv, "dv", 0, c.tokens);
      for (int64_t i = 0; i < c.tokens * c.tokens + 32; ++i) {
        const bool inside = c.biased && i < c.tokens * c.tokens;
        const size_t r = inside ? size_t(i / c.tokens) : 0, j = inside ? size_t(i % c.tokens) : 0;
        ASSERT_NEAR(dpairs[size_t(i)], 2 + (inside ? this->dpairs.value[r][j] : 0),
                    inside ? this->error * this->dpairs.size[r][j] +
                                 0x1p-24 * (2 + std::abs(this->dpairs.value[r][j]))
                           : 0)
            << i;
      }
    }
  }
}

TYPED_TEST(AttentionKernel, AScoreThatIsNotFiniteShows) {
  this->draw({20, 8, true, false});
  for (const float wrong : {INFINITY, NAN})
    for (const SimdTarget target : supported_targets()) {
      Rows<TypeParam> q = this->q, y(20, 8);
      q.data()[5 * q.stride()] = number_of(wrong, TypeParam());
      AttentionHead<TypeParam> head = this->head;
      head.q.first = q.data();
      std::vector<float> scratch(static_cast<size_t>(attention_scratch(20, 8)));
      attention_forward(head, 0, 20, y.data(), y.stride(), scratch.data(), target);
      for (int64_t r = 0; r < 20; ++r) EXPECT_EQ(std::isnan(y(r, 3)), r == 5) << target.name << " " << r;
    }
}

}  // namespace
}  // namespace mambaseg
