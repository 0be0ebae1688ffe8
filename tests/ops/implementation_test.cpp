#include "mambaseg/ops/implementation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/ops/channels_last.h"
#include "mambaseg/ops/depthwise_conv_parts.h"
#include "mambaseg/ops/selective_scan_operands.h"

namespace mambaseg {
namespace {

using testing::ElementsAre;

const torch::Device kGpu(torch::kCUDA, 1);

/// The name of what is chosen, and what SlowOperators hears.
template <class Implementation, size_t N, class Call>
std::vector<std::string> chosen(const Implementation (&list)[N], const Call& call) {
  std::vector<std::string> all;
  const SlowOperators slow([&](const std::string& line) { all.push_back(line); });
  all.insert(all.begin(), choose("operator", list, call).name);
  return all;
}

TEST(Implementations, OfTheScanAreAskedInTheirOrderAndSayWhyNot) {
  const auto scan = [](const ScanCall& call) { return chosen(kScanImplementations, call); };
  const std::string slow = "operator is computed on the GPU by LibTorch's operations, which is slow: ";
  for (const bool built : {false, true}) {
    for (const auto type : {torch::kFloat, torch::kDouble, torch::kBFloat16, torch::kHalf}) {
      EXPECT_THAT(scan({torch::kCPU, type, false, 16, built}), ElementsAre("CPU kernel"));
      EXPECT_THAT(scan({torch::kCPU, type, true, 300, built}), ElementsAre("CPU kernel"));
    }
  }
  for (const auto type : {torch::kFloat, torch::kBFloat16, torch::kHalf})
    EXPECT_THAT(scan({kGpu, type, false, 256, true}), ElementsAre("CUDA kernel"));
  EXPECT_THAT(scan({kGpu, torch::kFloat, false, 257, true}),
              ElementsAre("LibTorch", slow + "the kernel takes at most 256 states, not 257"));
  EXPECT_THAT(scan({kGpu, torch::kFloat, true, 16, true}),
              ElementsAre("LibTorch", slow + "the kernel takes no B or C that is the same for all tokens"));
  EXPECT_THAT(scan({kGpu, torch::kDouble, false, 16, true}),
              ElementsAre("LibTorch", slow + "the kernel computes no double"));
  EXPECT_THAT(scan({kGpu, torch::kFloat, false, 16, false}),
              ElementsAre("LibTorch", slow + "this program was built without CUDA kernels"));
  EXPECT_THAT(scan({torch::kXPU, torch::kFloat, false, 16, true}), ElementsAre("LibTorch"));
  EXPECT_EQ(kScanImplementations[0].why_not({torch::kCPU}), "the operands are on cpu");
  EXPECT_EQ(kScanImplementations[1].why_not({kGpu}), "the operands are on cuda:1");
}

TEST(Implementations, OfTheDepthwiseConvolutionAreAskedInTheirOrderAndSayWhyNot) {
  const auto depthwise = [](const DepthwiseCall& call) { return chosen(kDepthwiseImplementations, call); };
  const std::string slow = "operator is computed on the GPU by LibTorch's operations, which is slow: ";
  EXPECT_THAT(depthwise({torch::kCPU, torch::kDouble, true}), ElementsAre("CPU kernel"));
  EXPECT_THAT(depthwise({torch::kCPU, torch::kHalf, false}), ElementsAre("CPU kernel"));
  EXPECT_THAT(depthwise({kGpu, torch::kBFloat16, true}), ElementsAre("CUDA kernel"));
  EXPECT_THAT(depthwise({kGpu, torch::kDouble, true}),
              ElementsAre("LibTorch", slow + "the kernel computes no double"));
  EXPECT_THAT(depthwise({kGpu, torch::kFloat, false}),
              ElementsAre("LibTorch", slow + "this program was built without CUDA kernels"));
  EXPECT_EQ(kDepthwiseImplementations[0].why_not({torch::kCPU}), "the operands are on cpu");
  EXPECT_EQ(kDepthwiseImplementations[2].why_not({kGpu}), "the operands are on cuda:1");

  // LibTorch's own kernels where docs/gpu.md measured that they are faster.
  for (const bool built : {false, true}) {
    const auto single = [&](const std::vector<int64_t>& kernel, bool channels_last, bool backward) {
      return depthwise({kGpu, torch::kFloat, built, kernel, channels_last, backward});
    };
    const std::vector<std::string> ours =
        built ? std::vector<std::string>{"CUDA kernel"}
              : std::vector<std::string>{"LibTorch", slow + "this program was built without CUDA kernels"};
    EXPECT_THAT(single({3, 3, 3}, false, false), ElementsAre("LibTorch's CUDA kernel"));
    EXPECT_EQ(single({3, 3, 3}, true, false), ours);
    for (const bool last : {false, true}) {
      EXPECT_EQ(single({5, 5, 5}, last, false), ours);
      EXPECT_EQ(single({3, 3}, last, false), ours);
      EXPECT_EQ(single({4}, last, true), ours);
      for (const std::vector<int64_t>& kernel : {std::vector<int64_t>{3, 3}, {3, 3, 3}, {9, 9, 9}})
        EXPECT_THAT(single(kernel, last, true), ElementsAre("LibTorch's CUDA kernel"));
    }
  }
  EXPECT_THAT(depthwise({kGpu, torch::kBFloat16, true, {3, 3, 3}, false, true}), ElementsAre("CUDA kernel"));
  EXPECT_THAT(depthwise({torch::kCPU, torch::kFloat, true, {3, 3, 3}, false, true}),
              ElementsAre("CPU kernel"));
}

TEST(Implementations, ActivationsOnAGpuStayAsTheyLie) {
  const torch::Tensor first = torch::zeros({2, 3, 4, 5, 6}), last = channels_last(first);
  for (const torch::Tensor& x : {first, last, first.transpose(2, 3)})
    EXPECT_TRUE(works_channels_last(torch::kCPU, x));
  EXPECT_FALSE(works_channels_last(kGpu, first));
  EXPECT_TRUE(works_channels_last(kGpu, last));
  EXPECT_FALSE(works_channels_last(kGpu, first.transpose(2, 3)));
  EXPECT_FALSE(works_channels_last(kGpu, torch::zeros({2, 1, 4, 5})));  // lies both ways
}

TEST(Implementations, SlowOnesAreToldOnceToTheLastWhoListens) {
  std::vector<std::string> outer, inner;
  const auto scan = [](int64_t states) {
    choose("scan", kScanImplementations, ScanCall{kGpu, torch::kFloat, false, states, true});
  };
  {
    const SlowOperators hears_outer([&](const std::string& line) { outer.push_back(line); });
    scan(300);
    scan(300);
    scan(400);
    EXPECT_EQ(outer.size(), 2);
    {
      const SlowOperators hears_inner([&](const std::string& line) { inner.push_back(line); });
      scan(300);
      EXPECT_EQ(inner.size(), 1);
    }
    scan(500);
  }
  scan(600);  // nobody listens
  EXPECT_EQ(outer.size(), 3);
  EXPECT_EQ(inner.size(), 1);
}

}  // namespace
}  // namespace mambaseg
