#pragma once

namespace mambaseg {

/// For programs that compute: memory that is freed stays with the process and is handed out again. A network
/// asks for its activations anew in every patch; from the system they come as pages of zeros, and clearing
/// those takes several times as long as writing the activations.
void keep_freed_memory();

/// Largest memory of the process so far, in bytes (0 where the system does not tell).
long long peak_memory_bytes();

}  // namespace mambaseg
