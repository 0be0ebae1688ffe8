#include "mambaseg/io/open_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

[[noreturn]] void refuse(int code) { throw Error(std::strerror(code)); }

}  // namespace

OpenFile::OpenFile(const std::string& path, int flags)
    : number_(open(path.c_str(), flags | O_CLOEXEC, 0666)) {
  if (number_ < 0) refuse(errno);
}

OpenFile::~OpenFile() {
  if (number_ >= 0) ::close(number_);
}

OpenFile::OpenFile(OpenFile&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

void OpenFile::write(const void* bytes, size_t count) {
  for (size_t done = 0; done < count;) {
    const ssize_t written = ::write(number_, static_cast<const char*>(bytes) + done, count - done);
    if (written > 0)
      done += static_cast<size_t>(written);
    else if (written == 0)
      refuse(ENOSPC);
    else if (errno != EINTR)
      refuse(errno);
  }
}

size_t OpenFile::read_some(void* bytes, size_t count) {
  for (;;) {
    const ssize_t got = ::read(number_, bytes, count);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) refuse(errno);
  }
}

void OpenFile::read_at(int64_t offset, void* bytes, size_t count) const {
  for (size_t done = 0; done < count;) {
    const ssize_t got =
        pread(number_, static_cast<char*>(bytes) + done, count - done, offset + static_cast<int64_t>(done));
    if (got > 0)
      done += static_cast<size_t>(got);
    else if (got == 0)
      throw Error("the file is too short");
    else if (errno != EINTR)
      refuse(errno);
  }
}

void OpenFile::resize(int64_t bytes) {
  if (ftruncate(number_, bytes) != 0) refuse(errno);
}

void OpenFile::sync() {
  if (fsync(number_) != 0 && errno != EINVAL) refuse(errno);  // EINVAL: the file system cannot
}

void OpenFile::close() {
  if (::close(std::exchange(number_, -1)) != 0 && errno != EINTR) refuse(errno);
}

bool OpenFile::lock() { return flock(number_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; }

uint64_t OpenFile::names() const {
  struct stat status {};
  if (fstat(number_, &status) != 0) refuse(errno);
  return status.st_nlink;
}

}  // namespace mambaseg
