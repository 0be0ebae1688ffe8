#pragma once

#include <string>

#include "mambaseg/config/config.h"
#include "mambaseg/io/open_file.h"

namespace mambaseg {

/// A file of JSON lines that training appends to.
class Journal {
 public:
  /// Opens `path` for appending after its first `keep_bytes` bytes; what follows is dropped. A resumed run
  /// passes the size that its saved state remembers, so that no line is there twice.
  Journal(const std::string& path, int64_t keep_bytes);

  /// Appends one line, whole or not at all. Throws Error when it cannot be written.
  void write(const Json& line);
  /// Waits until all lines are on the disk, so that a state that counts them is not there without them.
  void sync();
  int64_t bytes() const { return bytes_; }

 private:
  std::string path_;
  OpenFile file_;
  int64_t bytes_;
};

}  // namespace mambaseg
