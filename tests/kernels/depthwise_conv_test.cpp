#include "mambaseg/kernels/depthwise_conv.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace mambaseg {
namespace {

constexpr float kGuard = 1234.5f;  // in every place that a call must not touch

struct Case {
  std::array<int64_t, 3> input, kernel, padding, output;
  int64_t channels = 5;
  bool channels_last = true, bias = true, flipped = false, order = false;

  std::string name() const {
    std::string text = channels_last ? "channels last" : "channels first";
    for (const auto& sizes : {input, kernel, padding, output}) {
      text += " [";
      for (const int64_t size : sizes) text += std::to_string(size) + " ";
      text += "]";
    }
    return text + " C " + std::to_string(channels) + (bias ? " bias" : "") + (flipped ? " flipped" : "") +
           (order ? " order" : "");
  }
};

/// A convolution that keeps the extents ("same"), or with `padding` on both sides.
Case padded(std::array<int64_t, 3> input, std::array<int64_t, 3> kernel, std::array<int64_t, 3> padding) {
  Case c{input, kernel, padding, {}};
  for (int axis = 0; axis < 3; ++axis) c.output[axis] = input[axis] + 2 * padding[axis] - kernel[axis] + 1;
  return c;
}
Case same(std::array<int64_t, 3> input, std::array<int64_t, 3> kernel) {
  return padded(input, kernel, {kernel[0] / 2, kernel[1] / 2, kernel[2] / 2});
}
Case causal(int64_t length, int64_t taps) {
  return {{1, 1, length}, {1, 1, taps}, {0, 0, taps - 1}, {1, 1, length}};
}

int64_t volume(const std::array<int64_t, 3>& extent) { return extent[0] * extent[1] * extent[2]; }

DepthwiseConv conv_of(const Case& c) {
  DepthwiseConv conv;
  conv.input = c.input;
  conv.kernel = c.kernel;
  conv.padding = c.padding;
  conv.output = c.output;
  conv.input_position_stride = conv.output_position_stride = c.channels_last ? c.channels : 1;
  conv.input_channel_stride = c.channels_last ? 1 : volume(c.input);
  conv.output_channel_stride = c.channels_last ? 1 : volume(c.output);
  return conv;
}

struct Problem {
  std::vector<double> x, grad_y, weight, bias;
  std::vector<int32_t> order;
  explicit Problem(const Case& c) {
    std::mt19937 engine(7);
    std::normal_distribution<float> normal;
    const auto numbers = [&](int64_t count) {
      std::vector<double> values(count);
      for (double& value : values) value = normal(engine);
      return values;
    };
    x = numbers(volume(c.input) * c.channels);
    grad_y = numbers(volume(c.output) * c.channels);
    weight = numbers(volume(c.kernel) * c.channels);
    bias = numbers(c.channels);
    order.resize(c.input[2]);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), engine);
  }
};

std::vector<float> single(const std::vector<double>& values) { return {values.begin(), values.end()}; }

/// Scratch that holds nothing useful, aligned to 64 bytes.
struct Scratch {
  explicit Scratch(int64_t size) : memory(size + 16, std::numeric_limits<float>::quiet_NaN()) {
    void* start = memory.data();
    size_t space = memory.size() * sizeof(float);
    data = static_cast<float*>(std::align(64, size * sizeof(float), start, space));
  }
  std::vector<float> memory;
  float* data;
};

void expect_near(const std::vector<float>& found, const std::vector<double>& expected, double tolerance,
                 const std::string& name) {
  ASSERT_EQ(found.size(), expected.size()) << name;
  double peak = 1e-6;
  for (const double value : expected) peak = value == kGuard ? peak : std::max(peak, std::abs(value));
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i] == kGuard, expected[i] == kGuard) << name << " place " << i;
    ASSERT_NEAR(found[i], expected[i], tolerance * peak) << name << " place " << i;
  }
}

void expect_equal_to_reference(const Case& c, SimdTarget target, DepthwisePart forward = {},
                               DepthwisePart backward = {}) {
  DepthwiseConv conv = conv_of(c);
  const Problem p(c);
  if (c.order) conv.order = p.order.data();
  const std::vector<float> x = single(p.x), grad_y = single(p.grad_y), weight = single(p.weight),
                           bias = single(p.bias);
  if (forward.channel_end == 0) forward = {0, c.channels, 0, c.output[1]};
  if (backward.channel_end == 0) backward = {0, c.channels, 0, c.output[0]};
  const Scratch scratch(depthwise_conv_scratch(conv));
  const std::string name = std::string(target.name) + " " + c.name();

  std::vector<double> y(p.grad_y.size(), kGuard);
  depthwise_conv_forward_ref(conv, forward, p.x.data(), p.weight.data(), c.bias ? p.bias.data() : nullptr,
                             c.flipped, y.data());
  std::vector<float> y_single(y.size(), kGuard);
  depthwise_conv_forward(conv, forward, x.data(), weight.data(), c.bias ? bias.data() : nullptr, c.flipped,
                         y_single.data(), scratch.data, target);
  expect_near(y_single, y, 2e-6, name + " y");

  std::vector<double> grad_weight(weight.size(), 1), grad_bias(bias.size(), 1);
  depthwise_conv_backward_weight_ref(conv, backward, p.x.data(), p.grad_y.data(), grad_weight.data(),
                                     c.bias ? grad_bias.data() : nullptr);
  std::vector<float> grad_weight_single(weight.size(), 1), grad_bias_single(bias.size(), 1);
  depthwise_conv_backward_weight(conv, backward, x.data(), grad_y.data(), grad_weight_single.data(),
                                 c.bias ? grad_bias_single.data() : nullptr, scratch.data, target);
  expect_near(grad_weight_single, grad_weight, 3e-6, name + " weight");
  expect_near(grad_bias_single, grad_bias, 3e-6, name + " bias");
}

TEST(DepthwiseConv, EqualsTheReferenceForEveryKernelAndLayout) {
  for (const SimdTarget& target : supported_targets()) {
    for (const bool channels_last : {false, true}) {
      for (const int64_t k : {1, 2, 3, 4, 5, 6, 7, 9, 11}) {
        for (Case c : {causal(21, k), same({1, 6, 13}, {1, k, k}), same({5, 4, 7}, {k, k, k})}) {
          c.channels_last = channels_last;
          c.flipped = k % 2 == 0;
          c.bias = k != 5;
          expect_equal_to_reference(c, target);
        }
      }
    }
  }
}

TEST(DepthwiseConv, EqualsTheReferenceAroundTheVectorWidth) {
  for (const SimdTarget& target : supported_targets()) {
    for (const bool channels_last : {false, true}) {
      for (const int64_t channels : {1, 3, 4, 7, 8, 15, 16, 17, 33}) {
        Case c = same({2, 3, 9}, {3, 3, 3});
        c.channels = channels;
        c.channels_last = channels_last;
        expect_equal_to_reference(c, target);
      }
      for (const int64_t columns : {1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 32, 33, 255, 256, 257}) {
        Case c = same({1, 2, columns}, {1, 3, 7});
        c.channels_last = channels_last;
        expect_equal_to_reference(c, target);
      }
    }
  }
}

TEST(DepthwiseConv, TakesUnequalKernelsAndAnyPadding) {
  for (const SimdTarget& target : supported_targets()) {
    for (const bool channels_last : {false, true}) {
      for (Case c : {padded({4, 5, 6}, {1, 3, 5}, {0, 0, 0}), padded({4, 5, 6}, {3, 1, 4}, {2, 3, 5}),
                     padded({3, 2, 2}, {2, 2, 3}, {1, 4, 7}), padded({6, 7, 8}, {3, 3, 3}, {-1, 0, -2}),
                     padded({1, 40, 300}, {1, 7, 7}, {0, 3, 3}), padded({9, 70, 20}, {7, 7, 7}, {3, 3, 3})}) {
        c.channels_last = channels_last;
        expect_equal_to_reference(c, target);
      }
    }
  }
}

TEST(DepthwiseConv, FollowsAWalk) {
  for (const SimdTarget& target : supported_targets()) {
    for (const bool channels_last : {false, true}) {
      for (const int64_t length : {1, 5, 21, 300}) {
        for (Case c : {causal(length, 4), same({1, 1, length}, {1, 1, 7})}) {
          c.channels = 19;
          c.channels_last = channels_last;
          c.order = true;
          expect_equal_to_reference(c, target);
        }
      }
    }
  }
}

TEST(DepthwiseConv, ReadsRowsOfAWiderTensor) {
  // The same numbers, x once by itself and once as the first columns of rows that are three times as wide.
  const Case c = same({2, 3, 5}, {3, 3, 3});
  const Problem p(c);
  const DepthwiseConv conv = conv_of(c);
  DepthwiseConv wide = conv;
  wide.input_position_stride = 3 * c.channels;
  std::vector<double> wide_x(3 * p.x.size(), kGuard);
  for (size_t i = 0; i < p.x.size(); ++i) wide_x[i / c.channels * 3 * c.channels + i % c.channels] = p.x[i];
  const std::vector<float> x = single(p.x), x_in_wide = single(wide_x), weight = single(p.weight);
  const DepthwisePart all{0, c.channels, 0, c.output[1]};
  for (const SimdTarget& target : supported_targets()) {
    const Scratch scratch(depthwise_conv_scratch(conv));
    std::vector<float> expected(p.grad_y.size()), found(p.grad_y.size());
    depthwise_conv_forward(conv, all, x.data(), weight.data(), nullptr, false, expected.data(), scratch.data,
                           target);
    depthwise_conv_forward(wide, all, x_in_wide.data(), weight.data(), nullptr, false, found.data(),
                           scratch.data, target);
    EXPECT_EQ(found, expected) << target.name;
  }
}

TEST(DepthwiseConv, ReadsAndWritesBf16) {
  for (const SimdTarget& target : supported_targets()) {
    for (const bool channels_last : {false, true}) {
      for (const int64_t channels : {1, 5, 19}) {
        Case c = same({4, 5, 9}, {3, 3, 3});
        c.channels = channels;
        c.channels_last = channels_last;
        const DepthwiseConv conv = conv_of(c);
        Problem p(c);
        const auto rounded = [](std::vector<double>& values) {
          std::vector<Bfloat16> result;
          for (double& value : values) {
            result.push_back(to_bfloat16(static_cast<float>(value)));
            value = to_float(result.back());
          }
          return result;
        };
        const std::vector<Bfloat16> x = rounded(p.x), grad_y = rounded(p.grad_y);
        const std::vector<float> weight = single(p.weight), bias = single(p.bias);
        const Scratch scratch(depthwise_conv_scratch(conv));
        const DepthwisePart rows{0, channels, 0, c.output[1]}, planes{0, channels, 0, c.output[0]};
        const std::string name = std::string(target.name) + " " + c.name();

        std::vector<Bfloat16> y(p.grad_y.size());
        depthwise_conv_forward(conv, rows, x.data(), weight.data(), bias.data(), false, y.data(),
                               scratch.data, target);
        std::vector<double> expected(y.size());
        depthwise_conv_forward_ref(conv, rows, p.x.data(), p.weight.data(), p.bias.data(), false,
                                   expected.data());
        std::vector<float> found;
        for (const Bfloat16 value : y) found.push_back(to_float(value));
        expect_near(found, expected, 0x1p-8, name + " y");  // half a unit of bf16

        std::vector<float> grad_weight(weight.size()), grad_bias(bias.size());
        depthwise_conv_backward_weight(conv, planes, x.data(), grad_y.data(), grad_weight.data(),
                                       grad_bias.data(), scratch.data, target);
        std::vector<double> expected_weight(weight.size()), expected_bias(bias.size());
        depthwise_conv_backward_weight_ref(conv, planes, p.x.data(), p.grad_y.data(), expected_weight.data(),
                                           expected_bias.data());
        expect_near(grad_weight, expected_weight, 3e-6, name + " weight");
        expect_near(grad_bias, expected_bias, 3e-6, name + " bias");
      }
    }
  }
}

TEST(DepthwiseConv, ComputesOnlyItsPart) {
  for (const SimdTarget& target : supported_targets()) {
    for (const bool channels_last : {false, true}) {
      Case c = same({4, 9, 10}, {3, 3, 3});
      c.channels = 40;
      c.channels_last = channels_last;
      expect_equal_to_reference(c, target, {16, 32, 2, 7}, {16, 32, 1, 3});
      expect_equal_to_reference(c, target, {3, 5, 8, 9}, {3, 5, 3, 4});
      expect_equal_to_reference(c, target, {32, 40, 4, 4}, {32, 40, 2, 2});
    }
  }
}

TEST(DepthwiseConv, TransposedGivesTheGradientOfTheInput) {
  // <grad_y, conv(x)> = <transposed conv(grad_y), x> for every x: the definition of the gradient.
  for (const Case& c :
       {padded({4, 5, 6}, {3, 3, 3}, {1, 1, 1}), padded({3, 4, 5}, {1, 2, 3}, {0, 3, 0}), causal(9, 4)}) {
    const DepthwiseConv conv = conv_of(c), transposed = conv.transposed();
    const Problem p(c);
    std::vector<double> y(p.grad_y.size()), grad_x(p.x.size());
    depthwise_conv_forward_ref(conv, {0, c.channels, 0, c.output[1]}, p.x.data(), p.weight.data(), nullptr,
                               false, y.data());
    depthwise_conv_forward_ref(transposed, {0, c.channels, 0, c.input[1]}, p.grad_y.data(), p.weight.data(),
                               nullptr, true, grad_x.data());
    double left = 0, right = 0;
    for (size_t i = 0; i < y.size(); ++i) left += y[i] * p.grad_y[i];
    for (size_t i = 0; i < grad_x.size(); ++i) right += grad_x[i] * p.x[i];
    EXPECT_NEAR(left, right, 1e-9 * std::abs(left)) << c.name();
  }
}

TEST(DepthwiseConv, SplittingTheWorkChangesNoBit) {
  for (const SimdTarget& target : supported_targets()) {
    Case c = same({3, 20, 17}, {3, 3, 3});
    c.channels = 32;
    const DepthwiseConv conv = conv_of(c);
    const Problem p(c);
    const std::vector<float> x = single(p.x), weight = single(p.weight);
    const Scratch scratch(depthwise_conv_scratch(conv));
    std::vector<float> whole(p.grad_y.size()), parts(p.grad_y.size());
    depthwise_conv_forward(conv, {0, 32, 0, 20}, x.data(), weight.data(), nullptr, false, whole.data(),
                           scratch.data, target);
    for (const DepthwisePart& part :
         {DepthwisePart{0, 16, 0, 7}, {0, 16, 7, 20}, {16, 32, 0, 19}, {16, 32, 19, 20}}) {
      depthwise_conv_forward(conv, part, x.data(), weight.data(), nullptr, false, parts.data(), scratch.data,
                             target);
    }
    EXPECT_EQ(parts, whole) << target.name;
  }
}

}  // namespace
}  // namespace mambaseg
