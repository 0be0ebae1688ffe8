#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "mambaseg/ops/dense.h"
#include "mambaseg/ops/growing_conv.h"
#include "mambaseg/ops/plain_libtorch.h"
#include "tests/guarded/guarded_memory.h"

/// Every kind of operator that reaches oneDNN, ours and LibTorch's, on many shapes: no byte outside of a
/// block is written, and values and gradients are those of double precision.
namespace mambaseg {
namespace {

using testing::IsEmpty;
using torch::Tensor;

constexpr double kSingle = 0x1p-24, kBrain = 0x1p-8;  // relative error of one rounding

/// Draws a shape of a class: the same ones in every run.
class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(seed) {}
  int64_t of(std::initializer_list<int64_t> choices) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return choices.begin()[(state_ >> 33) % choices.size()];
  }

 private:
  uint64_t state_;
};

struct Shape {
  int64_t batch, in, out;
  std::vector<int64_t> spatial, kernel;
  ConvolutionOptions options;
  int64_t taps() const {
    return std::accumulate(kernel.begin(), kernel.end(), int64_t{1}, std::multiplies<>());
  }
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "batch " << s.batch << ", channels " << s.in << " to " << s.out << ", sizes " << s.spatial
             << ", kernel " << s.kernel << ", stride " << s.options.stride << ", padding "
             << s.options.padding << ", dilation " << s.options.dilation << ", groups " << s.options.groups;
}

/// Channels that are and that are not multiples of the vectors of any processor, kernels of one voxel among
/// them.
Shape drawn(Draw& draw) {
  Shape s{draw.of({1, 2, 3}),
          draw.of({1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 16, 24, 31, 32, 33, 48}),
          draw.of({1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 16, 24, 30, 32, 36, 48}),
          {},
          {},
          {}};
  const int64_t axes = draw.of({2, 2, 3}), edge = draw.of({1, 1, 2, 3, 3, 3, 5, 7}),
                stride = draw.of({1, 1, 2, 3}), dilation = draw.of({1, 1, 1, 2}), same = draw.of({0, 1});
  if (draw.of({0, 0, 0, 1}) && s.in % 2 == 0 && s.out % 2 == 0) s.options.groups = 2;
  for (int64_t axis = 0; axis < axes; ++axis) {
    s.kernel.push_back(axis == 0 && axes == 3 && draw.of({0, 0, 0, 1}) ? 1 : edge);
    s.options.stride.push_back(draw.of({0, 0, 0, 0, 0, 1}) ? 1 : stride);
    s.options.dilation.push_back(dilation);
    const int64_t reach = dilation * (s.kernel.back() - 1) + 1;
    s.options.padding.push_back(same ? reach / 2 : 0);
    s.spatial.push_back(
        std::max(draw.of({1, 2, 3, 4, 6, 8, 12, 13, 16, 17}), reach - 2 * s.options.padding.back()));
  }
  return s;
}

Tensor random(const std::vector<int64_t>& front, const std::vector<int64_t>& back) {
  std::vector<int64_t> sizes = front;
  sizes.insert(sizes.end(), back.begin(), back.end());
  return torch::rand(sizes) * 2 - 1;
}

using Exact = std::function<Tensor(const std::vector<Tensor>&)>;
using Fast = std::function<Tensor(const std::vector<Tensor>&, const Epilogue&)>;

/// A result and the gradients of all operands.
struct Results {
  Tensor y;
  std::vector<Tensor> gradients;
};

/// In double precision; of absolute values: what rounding errors are measured by.
Results exact_results(const Exact& exact, const std::vector<Tensor>& operands, const Tensor& dy,
                      bool absolute) {
  const auto wide = [&](const Tensor& t) {
    const Tensor w = t.detach().to(torch::kDouble);
    return absolute ? w.abs() : w.clone();
  };
  std::vector<Tensor> leaves;
  for (const Tensor& t : operands) leaves.push_back(wide(t).requires_grad_());
  const Tensor y = exact(leaves);
  y.backward(wide(dy));
  Results results{y.detach(), {}};
  for (const Tensor& leaf : leaves) results.gradients.push_back(leaf.grad());
  return results;
}

/// Each of `terms` products and sums of them rounds once; in bf16 operands and the result do as well.
void expect_equal(const Tensor& got, const Tensor& exact, const Tensor& absolute, int64_t terms,
                  torch::ScalarType type, const std::string& what) {
  ASSERT_EQ(got.sizes(), exact.sizes()) << what;
  const double share = static_cast<double>(terms + 8) * kSingle + (type == torch::kBFloat16 ? 3 * kBrain : 0);
  const double excess =
      ((got.to(torch::kDouble) - exact).abs() - share * absolute).nan_to_num(INFINITY).max().item<double>();
  EXPECT_LE(excess, 0) << what;
}

/// Runs `fast`, a sum of `terms` products, with and without gradients and compares with `exact`.
void check(const Fast& fast, const Exact& exact, const std::vector<Tensor>& operands, int64_t terms,
           torch::ScalarType type) {
  std::vector<Tensor> leaves;
  for (const Tensor& t : operands) leaves.push_back(t.clone());
  Tensor y;
  {
    const torch::NoGradGuard no_grad;
    y = fast(leaves, {});
  }
  const Tensor dy = (torch::rand(y.sizes()) * 2 - 1).to(type);
  const Results expected = exact_results(exact, operands, dy, false),
                absolute = exact_results(exact, operands, dy, true);
  expect_equal(y, expected.y, absolute.y, terms, type, "result without gradient");
  {
    const torch::NoGradGuard no_grad;
    expect_equal(fast(leaves, {Activation::relu, dy}), (expected.y + dy).relu(), absolute.y + dy.abs(), terms,
                 type, "result with residual and ReLU");
    expect_equal(fast(leaves, {Activation::relu, {}}), expected.y.relu(), absolute.y, terms, type,
                 "result with ReLU");
  }
  for (Tensor& leaf : leaves) leaf.requires_grad_();
  y = fast(leaves, {});
  expect_equal(y, expected.y, absolute.y, terms, type, "result with gradient");
  y.backward(dy);
  const int64_t voxels = y.numel() / y.size(1);
  const std::vector<int64_t> sums{terms * y.size(1), voxels, voxels};
  for (size_t i = 0; i < leaves.size(); ++i)
    expect_equal(leaves[i].grad(), expected.gradients[i], absolute.gradients[i], sums[i], type,
                 "gradient of operand " + std::to_string(i));
}

class Guarded : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    torch::manual_seed(3);
    writes_outside_of_blocks();
    if (GetParam()) plain_ = std::make_unique<PlainLibTorchGuard>();
  }
  static std::vector<torch::ScalarType> types() {
    // LibTorch's own bf16 is not used on a processor that has no such arithmetic.
    if (GetParam()) return {torch::kFloat};
    return {torch::kFloat, torch::kBFloat16};
  }

 private:
  std::unique_ptr<PlainLibTorchGuard> plain_;
};

TEST_P(Guarded, Convolutions) {
  Draw draw(1);
  for (int i = 0; i < 250; ++i) {
    const Shape s = drawn(draw);
    const torch::ScalarType type = types()[static_cast<size_t>(i) % types().size()];
    std::ostringstream name;
    name << s << ", " << type;
    SCOPED_TRACE(name.str());
    const std::vector<int64_t> none(s.kernel.size(), 0);
    check(
        [&](const std::vector<Tensor>& t, const Epilogue& e) {
          return convolution(t[0], {t[1], t[2]}, s.options, e);
        },
        [&](const std::vector<Tensor>& t) {
          return torch::convolution(t[0], t[1], t[2], s.options.stride, s.options.padding, s.options.dilation,
                                    false, none, s.options.groups);
        },
        {random({s.batch, s.in}, s.spatial).to(type), random({s.out, s.in / s.options.groups}, s.kernel),
         random({s.out}, {})},
        s.in / s.options.groups * s.taps(), type);
    ASSERT_THAT(writes_outside_of_blocks(), IsEmpty());
    if (HasFailure()) return;
  }
}

TEST_P(Guarded, StridedConvolutionsOfOneVoxel) {
  for (int64_t in = 1; in <= 17; ++in)
    for (const int64_t out : {1, 6, 8, 24})
      for (const auto& stride : std::vector<std::vector<int64_t>>{{2, 2}, {2, 1}, {2, 2, 2}, {1, 2, 2}})
        for (const auto type : types()) {
          std::vector<int64_t> spatial;
          for (const int64_t step : stride) spatial.push_back(6 * step);
          std::ostringstream name;
          name << in << " to " << out << ", stride " << stride << ", " << type;
          SCOPED_TRACE(name.str());
          const std::vector<int64_t> none(stride.size(), 0), ones(stride.size(), 1);
          check(
              [&](const std::vector<Tensor>& t, const Epilogue& e) {
                return convolution(t[0], {t[1], t[2]}, {stride, none, ones}, e);
              },
              [&](const std::vector<Tensor>& t) {
                return torch::convolution(t[0], t[1], t[2], stride, none, ones, false, none, 1);
              },
              {random({2, in}, spatial).to(type), random({out, in}, ones), random({out}, {})}, in, type);
          ASSERT_THAT(writes_outside_of_blocks(), IsEmpty());
          if (HasFailure()) return;
        }
}

TEST_P(Guarded, GrowingConvolutions) {
  Draw draw(2);
  for (int i = 0; i < 60; ++i) {
    const int64_t axes = draw.of({2, 3}), in = draw.of({1, 3, 5, 8, 13, 16, 24, 33}),
                  out = draw.of({1, 2, 6, 8, 14, 16, 32}), batch = draw.of({1, 2});
    const torch::ScalarType type = types()[static_cast<size_t>(i) % types().size()];
    std::vector<int64_t> spatial, edges;
    for (int64_t axis = 0; axis < axes; ++axis) {
      spatial.push_back(draw.of({1, 2, 3, 5, 8, 9}));
      edges.push_back(draw.of({1, 2, 2, 3}));
    }
    std::ostringstream name;
    name << axes << "-D, " << batch << " times " << in << " to " << out << ", sizes " << spatial
         << ", blocks " << edges << ", " << type;
    SCOPED_TRACE(name.str());
    const std::vector<int64_t> none(spatial.size(), 0), ones(spatial.size(), 1), threes(spatial.size(), 3);
    const Tensor x = random({batch, in}, spatial).to(type), bias = random({out}, {});
    GrowingWeights blocks, doubled;
    check([&](const std::vector<Tensor>& t,
              const Epilogue& e) { return finish(block_convolution(t[0], t[1], t[2], blocks), e); },
          [&](const std::vector<Tensor>& t) {
            return torch::convolution(t[0], t[1], t[2], edges, none, ones, true, none, 1);
          },
          {x, random({in, out}, edges), bias}, in, type);
    check([&](const std::vector<Tensor>& t,
              const Epilogue& e) { return finish(doubled_convolution(t[0], t[1], t[2], doubled), e); },
          [&](const std::vector<Tensor>& t) {
            std::vector<int64_t> twice = spatial;
            for (int64_t& size : twice) size *= 2;
            const Tensor grown =
                axes == 2 ? torch::upsample_nearest2d(t[0], twice) : torch::upsample_nearest3d(t[0], twice);
            return torch::convolution(grown, t[1], t[2], ones, ones, ones, false, none, 1);
          },
          {x, random({out, in}, threes), bias}, in * 2 * (axes == 2 ? 9 : 27), type);
    ASSERT_THAT(writes_outside_of_blocks(), IsEmpty());
    if (HasFailure()) return;
  }
}

TEST_P(Guarded, LinearLayers) {
  Draw draw(4);
  for (int i = 0; i < 150; ++i) {
    const int64_t rows = draw.of({1, 2, 3, 7, 16, 33, 100}),
                  in = draw.of({1, 2, 3, 5, 8, 15, 16, 24, 33, 64, 96}),
                  out = draw.of({1, 2, 3, 4, 7, 8, 16, 30, 33, 64, 192});
    const torch::ScalarType type = types()[static_cast<size_t>(i) % types().size()];
    SCOPED_TRACE(testing::Message() << rows << " rows, " << in << " to " << out << ", "
                                    << c10::toString(type));
    check(
        [&](const std::vector<Tensor>& t, const Epilogue& e) {
          return linear(t[0], {t[1], t[2]}, e);
        },
        [&](const std::vector<Tensor>& t) { return torch::linear(t[0], t[1], t[2]); },
        {random({rows, in}, {}).to(type), random({out, in}, {}), random({out}, {})}, in, type);
    ASSERT_THAT(writes_outside_of_blocks(), IsEmpty());
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, Guarded, testing::Bool(),
                         [](const auto& info) { return info.param ? "OfLibTorch" : "OfOurs"; });

TEST(GuardedMemory, SeesWhatIsWrittenOutside) {
  const size_t before = guarded_blocks();
  Tensor t = torch::zeros({7});
  EXPECT_GT(guarded_blocks(), before);
  EXPECT_THAT(writes_outside_of_blocks(), IsEmpty());
  t.data_ptr<float>()[7] = 1;
  EXPECT_THAT(writes_outside_of_blocks(), testing::ElementsAre("0 bytes behind a block of 28"));
  t.data_ptr<float>()[-1] = 1;
  t = Tensor();
  EXPECT_THAT(writes_outside_of_blocks(), testing::ElementsAre("1 bytes in front of a block of 28"));
}

}  // namespace
}  // namespace mambaseg
