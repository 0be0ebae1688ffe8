#pragma once

#include <string>

#include "mambaseg/config/config.h"

namespace mambaseg {

/// A file of JSON lines that training appends to.
class Journal {
 public:
  /// Opens `path` for appending after its first `keep_bytes` bytes; what follows is dropped. A resumed run
  /// passes the size that its saved state remembers, so that no line is there twice.
  Journal(const std::string& path, int64_t keep_bytes);

  /// Appends one line. Throws Error when it cannot be written.
  void write(const Json& line);
  int64_t bytes() const { return bytes_; }

 private:
  std::string path_;
  int64_t bytes_;
};

}  // namespace mambaseg
