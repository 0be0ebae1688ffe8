// libFuzzer calls one target with bytes of its own making, millions of times.
#include <cstddef>
#include <cstdint>

#include "mambaseg/core/error.h"
#include "tests/fuzz/target.h"
#include "tests/io/temporary_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mambaseg::FuzzTarget& target = mambaseg::fuzz_target(MAMBASEG_FUZZ_TARGET);
  static const mambaseg::TemporaryFolder folder;
  try {
    target.read(std::string(reinterpret_cast<const char*>(data), size), folder.string());
  } catch (const mambaseg::Error&) {  // refused, as it may be
  }
  return 0;
}
