#pragma once

namespace mambaseg {

/// Largest memory of the process so far, in bytes (0 where the system does not tell).
long long peak_memory_bytes();

}  // namespace mambaseg
