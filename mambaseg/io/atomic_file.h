#pragma once

#include <functional>
#include <string>

namespace mambaseg {

/// Calls `write` with a temporary path beside `path` (same folder, same ending) and renames the result to
/// `path` after flushing it to disk; on any failure the temporary file is removed and `path` is untouched.
/// Throws Error naming `path` and the cause (no such folder, no permission, disk full).
void write_atomically(const std::string& path,
                      const std::function<void(const std::string& temporary)>& write);

/// Throws the Error that write_atomically(path) would throw before it writes: for work that takes long and
/// should not find out at its end that its result has no place.
void check_writable(const std::string& path);

/// write_atomically for bytes in memory.
void write_file_atomically(const std::string& path, const std::string& bytes);

}  // namespace mambaseg
