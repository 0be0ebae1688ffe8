#pragma once

#include <functional>
#include <string>

#include "mambaseg/io/open_file.h"

namespace mambaseg {

/// Calls `write` with a temporary path beside `path` (same folder, same ending) and renames the result to
/// `path` after flushing it to disk; on any failure the temporary file is removed and `path` is untouched.
/// What a killed process leaves is removed by make_folder. Throws Error naming `path` and the cause (no such
/// folder, no permission, disk full).
void write_atomically(const std::string& path,
                      const std::function<void(const std::string& temporary)>& write);

/// One of two files that are right only together.
struct FilePart {
  std::string path;
  std::function<void(const std::string& temporary)> write;
};

/// write_atomically for an image whose voxels lie in a file of their own. Both files are written whole under
/// temporary names; then the former header goes, and the voxels and the header take their names. A process
/// that ends in between leaves the former image, one without header, which nothing reads, or the new one, but
/// never a header with the voxels of another image.
void write_pair_atomically(const FilePart& voxels, const FilePart& header);

/// Throws the Error that write_atomically(path) would throw before it writes: for work that takes long and
/// should not find out at its end that its result has no place.
void check_writable(const std::string& path);

/// For write_atomically and FilePart: writes bytes, which must stay in memory.
std::function<void(const std::string& temporary)> writer_of(const std::string& bytes);
/// write_atomically for bytes in memory.
void write_file_atomically(const std::string& path, const std::string& bytes);

/// Makes the folder, and those above it, that outputs go to, and removes the temporary files that killed
/// processes left in it; those of processes that live are locked and stay (all do where
/// the file system knows no locks). Throws Error naming the folder.
void make_folder(const std::string& path);

/// A file without a name in `folder`, for what is too large for the memory: it ends with the object, or with
/// the process, however that dies. Throws Error naming the folder.
OpenFile scratch_file(const std::string& folder);

}  // namespace mambaseg
