#include "mambaseg/kernels/selective_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

namespace mambaseg {
namespace {

/// Every option of one call.
struct Case {
  int64_t length = 5, channels = 7, states = 3, groups = 1;
  bool skip = true, gate = false, bias = true, softplus = true, order = true, backwards = false;
  bool constant_B = false, constant_C = false, accumulate = false, bf16 = false;
  int64_t channel_begin = 0, channel_end = -1;  // -1: all

  int64_t end() const { return channel_end < 0 ? channels : channel_end; }
  std::string name() const {
    std::string text = "L " + std::to_string(length) + " C " + std::to_string(channels) + " N " +
                       std::to_string(states) + " G " + std::to_string(groups) + " options ";
    for (const bool option :
         {skip, gate, bias, softplus, order, backwards, constant_B, constant_C, accumulate, bf16}) {
      text += option ? '1' : '0';
    }
    return text;
  }
};

constexpr float kGuard = 1234.5f;  // in every place of an output that a call must not touch
constexpr int64_t kGap = 3;        // unused floats behind each row

/// Rows with a gap behind each: NaN in an input (whoever reads it shows), kGuard in an output (whoever writes
/// it shows).
template <class T>
struct Rows {
  int64_t rows, width, stride;
  std::vector<T> data;

  Rows(int64_t rows_, int64_t width_, T gap)
      : rows(rows_), width(width_), stride(width_ + kGap), data(rows_ * (width_ + kGap) - kGap, gap) {}
  T& at(int64_t row, int64_t column) { return data[row * stride + column]; }
};

template <class To>
To converted(float value) {
  if constexpr (std::is_same_v<To, Bfloat16>) {
    return to_bfloat16(value);
  } else {
    return value;
  }
}

/// T of the state and of the results, Input of what comes per token.
template <class T, class Input = T>
class Problem {
 public:
  explicit Problem(const Case& c)
      : c_(c),
        u_(c.length, c.channels, kNaN),
        delta_(c.length, c.channels, kNaN),
        B_(c.length, c.groups * c.states, kNaN),
        C_(c.length, c.groups * c.states, kNaN),
        z_(c.length, c.channels, kNaN),
        grad_out_(c.length, c.channels, std::numeric_limits<T>::quiet_NaN()) {
    std::mt19937 engine(static_cast<unsigned>(c.length * 1000 + c.channels * 10 + c.states));
    std::normal_distribution<float> normal;
    // Numbers of a bf16 case are bf16 numbers in every type.
    const auto draw = [&](float scale) {
      const float value = scale * normal(engine);
      return c.bf16 ? to_float(to_bfloat16(value)) : value;
    };
    const auto fill = [&](auto& rows, float scale) {
      for (int64_t r = 0; r < rows.rows; ++r) {
        for (int64_t i = 0; i < rows.width; ++i)
          rows.at(r, i) = converted<std::decay_t<decltype(rows.at(0, 0))>>(draw(scale));
      }
    };
    const auto input_numbers = [&](int64_t count) {
      std::vector<Input> values(count);
      for (Input& value : values) value = converted<Input>(draw(1));
      return values;
    };
    const auto numbers = [&](int64_t count) {
      std::vector<T> values(count);
      for (T& value : values) value = normal(engine);
      return values;
    };
    fill(u_, 1);
    fill(delta_, 1);
    delta_.at(0, 0) = converted<Input>(25);  // above the threshold of softplus
    fill(B_, 1);
    fill(C_, 1);
    fill(z_, 2);
    fill(grad_out_, 1);
    A_ = numbers(c.channels * c.states);
    for (T& a : A_) a = -std::exp(0.5f * static_cast<float>(a));
    B_constant_ = input_numbers(c.channels * c.states);
    C_constant_ = input_numbers(c.channels * c.states);
    D_ = numbers(c.channels);
    bias_ = numbers(c.channels);
    if (!c.softplus) {  // a negative step makes the state grow
      for (Input& value : delta_.data) value = converted<Input>(0.25f * std::abs(as_float(value)));
      for (T& value : bias_) value = 0.3f * std::abs(static_cast<float>(value));
    }
    order_.resize(c.length);
    std::iota(order_.begin(), order_.end(), 0);
    std::shuffle(order_.begin(), order_.end(), engine);

    scan_.length = c.length;
    scan_.channels = c.channels;
    scan_.states = c.states;
    scan_.groups = c.groups;
    scan_.channel_begin = c.channel_begin;
    scan_.channel_end = c.end();
    scan_.step_end = c.length;
    scan_.u = u_.data.data();
    scan_.u_stride = u_.stride;
    scan_.delta = delta_.data.data();
    scan_.delta_stride = delta_.stride;
    scan_.A = A_.data();
    scan_.B = c.constant_B ? B_constant_.data() : B_.data.data();
    scan_.B_stride = c.constant_B ? 0 : B_.stride;
    scan_.C = c.constant_C ? C_constant_.data() : C_.data.data();
    scan_.C_stride = c.constant_C ? 0 : C_.stride;
    scan_.D = c.skip ? D_.data() : nullptr;
    scan_.delta_bias = c.bias ? bias_.data() : nullptr;
    scan_.delta_softplus = c.softplus;
    scan_.order = c.order ? order_.data() : nullptr;
    scan_.backwards = c.backwards;
  }

  struct Results {
    std::vector<std::vector<T>> arrays;
  };

  /// y, gated, last_state, borders, then the gradients of u, delta, A, B, C, D and the bias.
  template <class Forward, class Backward>
  Results run(int64_t forward_scratch, int64_t backward_scratch, Forward forward, Backward backward) const {
    const T guard = kGuard;
    const int64_t chunks = selective_scan_chunks(c_.length, c_.states);
    Rows<T> y(c_.length, c_.channels, guard), gated(c_.length, c_.channels, guard);
    Rows<T> grad_u(c_.length, c_.channels, guard), grad_delta(c_.length, c_.channels, guard);
    if (c_.accumulate) {
      for (Rows<T>* rows : {&y, &grad_u}) {
        for (int64_t r = 0; r < c_.length; ++r) {
          for (int64_t i = c_.channel_begin; i < c_.end(); ++i)
            rows->at(r, i) = static_cast<T>(0.25 * (i % 5));
        }
      }
    }
    std::vector<T> last_state(c_.channels * c_.states, guard),
        borders(chunks * c_.states * c_.channels, guard);
    SelectiveScanOutput<T, Input> out;
    out.y = y.data.data();
    out.y_stride = y.stride;
    out.accumulate = c_.accumulate;
    out.z = c_.gate ? z_.data.data() : nullptr;
    out.z_stride = z_.stride;
    out.gated = gated.data.data();
    out.gated_stride = gated.stride;
    out.last_state = last_state.data();
    out.borders = borders.data();
    forward(scan_, out, scratch(forward_scratch));

    Rows<T> grad_B(c_.length, c_.groups * c_.states, guard), grad_C = grad_B;
    for (Rows<T>* rows : {&grad_B, &grad_C}) {
      for (int64_t r = 0; r < rows->rows; ++r) {
        for (int64_t i = 0; i < rows->width; ++i) rows->at(r, i) = 0;
      }
    }
    std::vector<T> grad_A(c_.channels * c_.states), grad_B_constant = grad_A, grad_C_constant = grad_A;
    std::vector<T> grad_D(c_.channels), grad_bias(c_.channels);
    SelectiveScanGradients<T, Input> g;
    g.grad_out = grad_out_.data.data();
    g.grad_out_stride = grad_out_.stride;
    g.z = out.z;
    g.z_stride = z_.stride;
    g.borders = borders.data();
    g.u = grad_u.data.data();
    g.u_stride = grad_u.stride;
    g.u_accumulate = c_.accumulate;
    g.delta = grad_delta.data.data();
    g.delta_stride = grad_delta.stride;
    g.A = grad_A.data();
    g.B = c_.constant_B ? grad_B_constant.data() : grad_B.data.data();
    g.B_stride = c_.constant_B ? 0 : grad_B.stride;
    g.C = c_.constant_C ? grad_C_constant.data() : grad_C.data.data();
    g.C_stride = c_.constant_C ? 0 : grad_C.stride;
    g.D = c_.skip ? grad_D.data() : nullptr;
    g.delta_bias = c_.bias ? grad_bias.data() : nullptr;
    backward(scan_, g, scratch(backward_scratch));
    return {{y.data, gated.data, last_state, borders, grad_u.data, grad_delta.data, grad_A, grad_B.data,
             grad_C.data, grad_B_constant, grad_C_constant, grad_D, grad_bias}};
  }

 private:
  static float as_float(Bfloat16 value) { return to_float(value); }
  static float as_float(double value) { return static_cast<float>(value); }
  static inline const Input kNaN = converted<Input>(std::numeric_limits<float>::quiet_NaN());

  /// `size` numbers of memory that starts at a multiple of 64 bytes and holds nothing useful.
  T* scratch(int64_t size) const {
    scratch_.assign(size + 64 / sizeof(T), std::numeric_limits<T>::quiet_NaN());
    void* start = scratch_.data();
    size_t space = scratch_.size() * sizeof(T);
    return static_cast<T*>(std::align(64, size * sizeof(T), start, space));
  }

  Case c_;
  Rows<Input> u_, delta_, B_, C_, z_;
  Rows<T> grad_out_;
  std::vector<T> A_, D_, bias_;
  std::vector<Input> B_constant_, C_constant_;
  std::vector<int32_t> order_;
  SelectiveScan<T, Input> scan_;
  mutable std::vector<T> scratch_;
};

constexpr const char* kNames[] = {
    "y",      "gated",  "last state",      "borders",         "grad u", "grad delta", "grad A",
    "grad B", "grad C", "grad constant B", "grad constant C", "grad D", "grad bias"};

Problem<double>::Results reference(const Case& c) {
  const int64_t scratch = selective_scan_ref_scratch(c.length, c.states);
  return Problem<double>(c).run(scratch, scratch, selective_scan_forward_ref, selective_scan_backward_ref);
}

template <class Input>
Problem<float>::Results simd_of(const Case& c, SimdTarget target) {
  const auto results = Problem<float, Input>(c).run(
      selective_scan_forward_scratch(c.end() - c.channel_begin, c.groups, c.states),
      selective_scan_backward_scratch(c.end() - c.channel_begin, c.groups, c.states),
      [&](const auto& scan, const auto& out, float* scratch) {
        selective_scan_forward(scan, out, scratch, target);
      },
      [&](const auto& scan, const auto& g, float* scratch) {
        selective_scan_backward(scan, g, scratch, target);
      });
  return {results.arrays};
}
Problem<float>::Results simd(const Case& c, SimdTarget target) {
  return c.bf16 ? simd_of<Bfloat16>(c, target) : simd_of<float>(c, target);
}

/// Errors relative to the largest number of the array, in which places that hold the guard must hold it in
/// both.
void expect_equal_to_reference(const Case& c, SimdTarget target) {
  const auto expected = reference(c);
  const auto found = simd(c, target);
  for (size_t i = 0; i < expected.arrays.size(); ++i) {
    double peak = 1e-6, error = 0;
    for (size_t j = 0; j < expected.arrays[i].size(); ++j) {
      const double e = expected.arrays[i][j], f = found.arrays[i][j];
      ASSERT_EQ(e == kGuard, f == kGuard)
          << target.name << " " << c.name() << " " << kNames[i] << " place " << j;
      if (e == kGuard) continue;
      peak = std::max(peak, std::abs(e));
      error = std::max(error, std::isfinite(f) ? std::abs(e - f) : 1e30);
    }
    // Sums over the walk gather the roundings of their terms.
    const double tolerance = i < 4 ? 2e-6 : 4e-6;
    EXPECT_LT(error / peak, tolerance) << target.name << " " << c.name() << " " << kNames[i];
  }
}

TEST(SelectiveScanKernels, EqualTheReferenceForEveryCombinationOfOptions) {
  for (const SimdTarget& target : supported_targets()) {
    for (int bits = 0; bits < 1024; ++bits) {
      Case c;
      c.length = 5;
      c.channels = 18;
      c.groups = bits % 3 == 0 ? 2 : 1;
      const auto bit = [&](int i) { return (bits >> i & 1) != 0; };
      c.skip = bit(0), c.gate = bit(1), c.bias = bit(2), c.softplus = bit(3), c.order = bit(4),
      c.backwards = bit(5);
      c.constant_B = bit(6), c.constant_C = bit(7), c.accumulate = bit(8), c.bf16 = bit(9);
      expect_equal_to_reference(c, target);
      if (HasFailure()) return;
    }
  }
}

TEST(SelectiveScanKernels, EqualTheReferenceAroundTheVectorWidth) {
  for (const SimdTarget& target : supported_targets()) {
    for (const int64_t channels : {1, 3, 7, 8, 15, 16, 17, 33, 64, 79}) {
      for (const int64_t states : {1, 2, 5, 8, 16, 17}) {
        Case c;
        c.channels = channels;
        c.states = states;
        c.length = 6;
        expect_equal_to_reference(c, target);
        c.bf16 = true;
        expect_equal_to_reference(c, target);
      }
    }
  }
}

TEST(SelectiveScanKernels, EqualTheReferenceAroundTheChunk) {
  for (const SimdTarget& target : supported_targets()) {
    for (const int64_t states : {1, 3, 16, 64, 65, 130}) {
      const int64_t chunk = selective_scan_chunk(states);
      for (const int64_t length : {int64_t{1}, int64_t{2}, chunk - 1, chunk, chunk + 1, 2 * chunk + 3}) {
        Case c;
        c.channels = 5;
        c.states = states;
        c.length = length;
        expect_equal_to_reference(c, target);
      }
    }
  }
}

TEST(SelectiveScanKernels, GroupsMeetTheirOwnOperands) {
  for (const SimdTarget& target : supported_targets()) {
    for (const auto& [channels, groups] : {std::pair<int64_t, int64_t>{6, 6}, {34, 2}, {60, 3}, {64, 4}}) {
      Case c;
      c.channels = channels;
      c.groups = groups;
      c.states = 4;
      expect_equal_to_reference(c, target);
    }
  }
}

TEST(SelectiveScanKernels, TouchOnlyTheirChannels) {
  for (const SimdTarget& target : supported_targets()) {
    for (const auto& [begin, end] :
         {std::pair<int64_t, int64_t>{0, 16}, {16, 37}, {5, 9}, {32, 64}, {63, 64}, {7, 7}}) {
      Case c;
      c.channels = 64;
      c.groups = 2;
      c.gate = true;
      c.channel_begin = begin;
      c.channel_end = end;
      expect_equal_to_reference(c, target);
    }
  }
}

TEST(SelectiveScanKernels, SplittingTheChannelsChangesNoBit) {
  for (const SimdTarget& target : supported_targets()) {
    Case c;
    c.channels = 48;
    c.states = 9;
    const auto whole = simd(c, target);
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 16}, {16, 48}}) {
      c.channel_begin = begin;
      c.channel_end = end;
      const auto part = simd(c, target);
      for (const int i : {0, 2, 3, 4, 5}) {
        for (size_t j = 0; j < part.arrays[i].size(); ++j) {
          if (part.arrays[i][j] == kGuard) continue;
          ASSERT_EQ(part.arrays[i][j], whole.arrays[i][j]) << target.name << kNames[i];
        }
      }
    }
  }
}

/// One channel, one state, one step: x = dt * B * u, and a second step whose decay is exp(dt * A).
double decay(double delta, double A, SimdTarget target) {
  const float u[2] = {1, 0}, deltas[2] = {1, static_cast<float>(delta)}, a = static_cast<float>(A),
              one[2] = {1, 1};
  float y[2] = {};
  alignas(64) static float scratch[1 << 10];
  SelectiveScan<float> s;
  s.length = 2;
  s.channels = s.states = s.channel_end = 1;
  s.step_end = 2;
  s.u = u;
  s.delta = deltas;
  s.A = &a;
  s.B = s.C = one;
  s.u_stride = s.delta_stride = s.B_stride = s.C_stride = 1;
  s.delta_softplus = false;
  SelectiveScanOutput<float> out;
  out.y = y;
  out.y_stride = 1;
  EXPECT_LE(selective_scan_forward_scratch(1, 1, 1), 1 << 10);
  selective_scan_forward(s, out, scratch, target);
  return y[1];
}

TEST(SelectiveScanKernels, ExponentialStaysWithinItsError) {
  for (const SimdTarget& target : supported_targets()) {
    for (double t = -0.001; t > -86; t = t * 1.003 - 1e-4) {
      const float dt = static_cast<float>(-t / 2);
      const double expected = std::exp(-2.0 * dt);
      // The polynomial's error, and the roundings of A log2(e) and of its product with dt.
      EXPECT_NEAR(decay(dt, -2, target) / expected, 1, 2e-7 + 1.2e-7 * 2 * dt) << target.name << " " << t;
    }
  }
}

TEST(SelectiveScanKernels, ExtremeStepsGiveNoNonsense) {
  for (const SimdTarget& target : supported_targets()) {
    EXPECT_EQ(decay(0, -1, target), 1) << target.name;
    for (const double delta : {1e3, 1e6, 1e12, 1e30}) {
      for (const double A : {-1.0, -1e4, -1e30})
        EXPECT_NEAR(decay(delta, A, target), 0, 1e-37) << target.name << delta;
    }
    EXPECT_GT(decay(-1e3, -1, target), 1e38) << target.name;
  }
}

}  // namespace
}  // namespace mambaseg
