// That the limits of tests/run.sh reach the libraries that they are meant for.
#include <ATen/Context.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#ifdef MAMBASEG_HAS_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif

#include "mambaseg/kernels/target.h"

namespace mambaseg {
namespace {

/// The limit, or nothing in a run without limits.
std::string limit(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

TEST(InstructionSets, LimitOurKernels) {
  const std::string name = limit("MAMBASEG_SIMD");
  if (!name.empty()) {
    EXPECT_EQ(best_target().name, name);
  }
}

TEST(InstructionSets, LimitLibTorch) {
  const std::string name = limit("ATEN_CPU_CAPABILITY");
  if (name == "default") {
    EXPECT_THAT(at::show_config(), testing::HasSubstr("CPU capability usage: NO AVX"));
  }
  if (name == "avx2") {
    EXPECT_THAT(at::show_config(), testing::HasSubstr("CPU capability usage: AVX2"));
  }
}

#ifdef MAMBASEG_HAS_ONEDNN
TEST(InstructionSets, LimitOneDnn) {
  const std::string name = limit("DNNL_MAX_CPU_ISA");
  if (name == "SSE41") {
    EXPECT_EQ(dnnl::get_effective_cpu_isa(), dnnl::cpu_isa::sse41);
  }
  if (name == "AVX2") {
    EXPECT_EQ(dnnl::get_effective_cpu_isa(), dnnl::cpu_isa::avx2);
  }
}
#endif

TEST(InstructionSets, LimitOpenBlas) {
  if (at::hasMKL()) GTEST_SKIP() << "this LibTorch multiplies matrices by the MKL inside it";
  const std::string name = limit("OPENBLAS_CORETYPE");
  using CoreName = const char*();
  auto* core_name = reinterpret_cast<CoreName*>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (!name.empty()) {
    ASSERT_NE(core_name, nullptr) << "the BLAS is not OpenBLAS";
    EXPECT_EQ(core_name(), name);
  }
}

}  // namespace
}  // namespace mambaseg
