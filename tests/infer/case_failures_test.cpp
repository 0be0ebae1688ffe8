#include "mambaseg/io/case_failures.h"

#include <gtest/gtest.h>

#include <c10/util/Exception.h>

#include "mambaseg/core/error.h"
#include "mambaseg/infer/cause_of_failure.h"

namespace mambaseg {
namespace {

TEST(CaseFailures, AFullGpuIsTheFailureOfTheCaseInOneLine) {
  CaseFailures failures(cause_of_failure);
  const bool good = failures.guard("head", "head.nii.gz", [] {
    throw c10::OutOfMemoryError(
        {__func__, __FILE__, __LINE__},
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
        "79.11 GiB of which 12.44 MiB is free. Including non-PyTorch memory");
  });
  EXPECT_FALSE(good);
  std::string message;
  try {
    failures.raise(1, {});
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_EQ(
      message,
      "head (head.nii.gz): the GPU's memory is full: 2.00 GiB more were asked for, 12.44 MiB of 79.11 GiB "
      "are free; smaller batches, 16 bits (--precision auto) or another GPU may do");
}

}  // namespace
}  // namespace mambaseg
