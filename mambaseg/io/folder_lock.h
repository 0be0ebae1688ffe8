#pragma once

#include <optional>
#include <string>

#include "mambaseg/io/open_file.h"

namespace mambaseg {

/// "process 4711 on machine7"
std::string this_process();

/// A folder that this process alone works in, until the object ends or the process, however that dies. The
/// lock lies on FOLDER/.lock, which names the process to others.
class FolderLock {
 public:
  /// Throws Error naming the process that works in the folder.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  std::string path_;
  std::optional<OpenFile> file_;
};

}  // namespace mambaseg
