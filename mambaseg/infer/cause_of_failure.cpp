#include "mambaseg/infer/cause_of_failure.h"

#include "mambaseg/io/case_failures.h"
#include "mambaseg/ops/device_memory.h"

namespace mambaseg {

std::string cause_of_failure() {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return full_memory_line(error) + "; smaller batches, 16 bits (--precision auto) or another GPU may do";
  } catch (...) {
    return plain_cause();
  }
}

}  // namespace mambaseg
