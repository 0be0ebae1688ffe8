#include "mambaseg/ops/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/dense.h"

namespace mambaseg {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& name, int64_t gpus) {
  try {
    device_named(name, gpus);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Device, IsNamedByTypeAndNumber) {
  EXPECT_EQ(device_named("cpu", 0), torch::Device(torch::kCPU));
  EXPECT_EQ(device_named("cuda", 1), torch::Device(torch::kCUDA));
  EXPECT_EQ(device_named("cuda:0", 1), torch::Device(torch::kCUDA, 0));
  EXPECT_EQ(device_named("cuda:3", 4), torch::Device(torch::kCUDA, 3));
}

TEST(Device, OneThatIsNotThereIsRefusedWithWhatIs) {
  EXPECT_EQ(refusal("cuda", 0), "--device cuda: there is no GPU that this LibTorch can use, only cpu");
  EXPECT_EQ(refusal("cuda:1", 1), "--device cuda:1: there is cpu and one GPU, cuda:0");
  EXPECT_EQ(refusal("cuda:4", 4), "--device cuda:4: there is cpu and the GPUs cuda:0 to cuda:3");
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda1", "CUDA", "cuda: 1"})
    EXPECT_THAT(refusal(name, 2), HasSubstr("expected cpu, cuda or cuda:1; there is cpu and the GPUs"))
        << name;
  EXPECT_THAT(refusal("cuda:99999999999999999999", 2), HasSubstr("expected cpu, cuda or cuda:1"));
  EXPECT_THAT(refusal("cuda:300", 2), HasSubstr("there is cpu and the GPUs cuda:0 to cuda:1"));
}

TEST(PrecisionOn, IsDecidedByTheDeviceThatRuns) {
  const Arithmetic old_cpu{false, false, "AVX2"}, cpu{false, true, "AMX"}, old_gpu{true, false, "cuda:0"},
      gpu{true, true, "cuda:0"};
  for (const Arithmetic& any : {old_cpu, cpu, old_gpu, gpu}) EXPECT_EQ(precision_on(any, "fp32"), "fp32");
  for (const Arithmetic& one : {cpu, gpu}) {
    EXPECT_EQ(precision_on(one, "auto"), "bf16");
    EXPECT_EQ(precision_on(one, "bf16"), "bf16");
  }
  for (const Arithmetic& one : {old_cpu, old_gpu}) EXPECT_EQ(precision_on(one, "bf16"), "fp32");
  EXPECT_EQ(precision_on(old_cpu, "auto"), "fp32");
  EXPECT_EQ(precision_on(old_gpu, "auto"), "fp16");
  for (const char* of_a_gpu : {"tf32", "fp16"}) {
    for (const Arithmetic& one : {old_gpu, gpu}) EXPECT_EQ(precision_on(one, of_a_gpu), of_a_gpu);
    for (const Arithmetic& one : {old_cpu, cpu}) EXPECT_THROW(precision_on(one, of_a_gpu), UsageError);
  }
}

TEST(PrecisionOn, AProcessorIsAsked) {
  const Arithmetic here = arithmetic_of(torch::kCPU);
  EXPECT_FALSE(here.cuda);
  EXPECT_EQ(here.bf16, has_bf16_arithmetic());
  EXPECT_EQ(here.device, dense_target());
}

TEST(SentTo, AProcessorIsTheTensorItself) {
  const torch::Tensor x = torch::ones({2});
  EXPECT_TRUE(sent_to(torch::kCPU, pinned_for(torch::kCPU, x)).is_same(x));
}

}  // namespace
}  // namespace mambaseg
