#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mambaseg {

/// A file descriptor that closes itself. Whatever does not succeed wholly is an Error that carries the cause
/// alone
/// ("No space left on device"); who calls names the file.
class OpenFile {
 public:
  /// `flags` as those of open(2); a file that is made gets the usual permissions.
  OpenFile(const std::string& path, int flags);
  ~OpenFile();
  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&&) = delete;

  /// All of the bytes, at the position of the file.
  void write(const void* bytes, size_t count);
  /// At most `count` bytes, at the position of the file; how many there were, 0 at its end.
  size_t read_some(void* bytes, size_t count);
  /// Exactly `count` bytes from `offset` on.
  void read_at(int64_t offset, void* bytes, size_t count) const;
  void resize(int64_t bytes);
  /// Waits until the content is on the disk; some file systems report a full disk only here.
  void sync();
  /// Some file systems report a full disk only here. Without it the destructor closes, and says nothing.
  void close();
  /// Takes the lock of the file (flock(2), on NFS a lock of the server), which ends with this object or with
  /// the process, however that dies. False when another process, or another OpenFile of this one, holds it.
  /// True also where the file system knows no locks.
  bool lock();
  /// How many names the file has: 0 when it was removed meanwhile.
  uint64_t names() const;

 private:
  int number_ = -1;
};

}  // namespace mambaseg
