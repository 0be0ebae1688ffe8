#include "mambaseg/ops/device_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mambaseg {
namespace {

std::string line_of(const std::string& text) {
  return full_memory_line(c10::OutOfMemoryError({__func__, __FILE__, __LINE__}, text));
}

TEST(FullMemoryLine, SaysWhatWasAskedInEitherVersionsWords) {
  const char* expected =
      "the GPU's memory is full: 2.00 GiB more were asked for, 12.44 MiB of 79.11 GiB are free";
  EXPECT_EQ(
      line_of("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 79.11 GiB total capacity; 70.02 GiB "
              "already allocated; 12.44 MiB free; 71.00 GiB reserved in total by PyTorch) If reserved "
              "memory is >> allocated memory try setting max_split_size_mb to avoid fragmentation."),
      expected);
  EXPECT_EQ(
      line_of("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of "
              "which 12.44 MiB is free. Including non-PyTorch memory, this process has 79.00 GiB memory "
              "in use. Of the allocated memory 70.02 GiB is allocated by PyTorch, and 1.00 GiB is reserved "
              "by PyTorch but unallocated."),
      expected);
}

TEST(FullMemoryLine, KeepsTheFirstLineOfOtherWords) {
  EXPECT_EQ(line_of("CUDA out of memory. Tried to allocate more than 1EB memory.\nsecond line"),
            "the GPU's memory is full: CUDA out of memory. Tried to allocate more than 1EB memory.");
}

TEST(MemoryTakenLine, OfAProcessorNamesNoGpu) {
  EXPECT_THAT(memory_taken_line(torch::kCPU), testing::MatchesRegex("memory taken: at most [1-9][0-9]* MB"));
}

}  // namespace
}  // namespace mambaseg
