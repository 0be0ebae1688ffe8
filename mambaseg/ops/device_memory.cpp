#include "mambaseg/ops/device_memory.h"

#include <regex>

#include "mambaseg/core/error.h"
#include "mambaseg/core/memory.h"
#include "mambaseg/ops/cuda_stream.h"

namespace mambaseg {
namespace {

/// What the first group of `pattern` finds.
std::string found(const std::string& text, const char* pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? match[1].str() : "";
}

}  // namespace

std::string full_memory_line(const c10::OutOfMemoryError& error) {
  const std::string text = error.what_without_backtrace();
  const std::string asked = found(text, "Tried to allocate ([0-9.]+ [A-Za-z]+)"),
                    free = found(text, "([0-9.]+ [A-Za-z]+) (?:is )?free"),
                    all = found(text, "capacity of ([0-9.]+ [A-Za-z]+)") +
                          found(text, "([0-9.]+ [A-Za-z]+) total capacity");
  if (asked.empty()) return concat("the GPU's memory is full: ", text.substr(0, text.find('\n')));
  return concat("the GPU's memory is full: ", asked, " more were asked for",
                free.empty() || all.empty() ? "" : concat(", ", free, " of ", all, " are free"));
}

std::string memory_taken_line(torch::Device device) {
  const auto mb = [](int64_t bytes) { return concat((bytes + 999999) / 1000000, " MB"); };
  std::string line = concat("memory taken: at most ", mb(peak_memory_bytes()));
  if (device.is_cuda())
    if (const int64_t peak = cuda_peak_bytes(device); peak > 0)
      line += concat(", and ", mb(peak), " on the GPU");
  return line;
}

}  // namespace mambaseg
