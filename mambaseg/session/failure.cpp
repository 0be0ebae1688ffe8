#include "mambaseg/session/failure.h"

#include "mambaseg/ops/device_memory.h"

namespace mambaseg {

Failure current_failure() {
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return {Outcome::failed, full_memory_line(error)};
  } catch (...) {
    return plain_failure();
  }
}

}  // namespace mambaseg
