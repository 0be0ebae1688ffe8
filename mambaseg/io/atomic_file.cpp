#include "mambaseg/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// ".nii.gz" of "a.b.nii.gz", ".png" of "a.png", "" of "a".
std::string ending_of(const fs::path& path) {
  const std::string last = path.extension().string();
  return last == ".gz" ? path.stem().extension().string() + last : last;
}

fs::path temporary_beside(const fs::path& path) {
  static std::atomic<unsigned> count{0};
  return path.parent_path() /
         concat(".mambaseg-", getpid(), "-", count.fetch_add(1, std::memory_order_relaxed), ending_of(path));
}

/// A link is followed, so that the file it names is replaced and the link stays.
fs::path destination_of(const std::string& path) {
  std::error_code failed;
  const fs::path resolved = fs::weakly_canonical(path, failed);
  return failed ? fs::path(path) : resolved;
}

[[noreturn]] void refuse(const std::string& path, const std::string& cause) {
  throw Error("cannot write " + path + ": " + cause);
}

/// Waits until what was written under this name is on the disk; some file systems report a full disk only
/// here.
void flush_to_disk(const fs::path& path, int flags) {
  const int file = open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) throw Error(std::strerror(errno));
  const int code = fsync(file) == 0 || errno == EINVAL ? 0 : errno;  // EINVAL: the file system cannot flush
  close(file);
  if (code != 0) throw Error(std::strerror(code));
}

/// Removes the temporary file unless it was renamed.
class Temporary {
 public:
  explicit Temporary(fs::path path) : path_(std::move(path)) {
    const int file = open(path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (file < 0) throw Error(std::strerror(errno));
    close(file);
  }
  ~Temporary() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove(path_, ignored);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  const fs::path& path() const { return path_; }
  void rename_to(const fs::path& destination) {
    if (std::rename(path_.c_str(), destination.c_str()) != 0) throw Error(std::strerror(errno));
    path_.clear();
  }

 private:
  fs::path path_;
};

fs::path folder_of(const fs::path& destination) {
  return destination.has_parent_path() ? destination.parent_path() : fs::path(".");
}

/// Where `path` leads, when a file may be put there.
fs::path checked_destination(const std::string& path) {
  std::error_code failed;
  const fs::path destination = destination_of(path);
  if (path.empty()) refuse("\"\"", "the file name is empty");
  const fs::path folder = folder_of(destination);
  if (!fs::is_directory(folder, failed)) refuse(path, "there is no folder " + folder.string());
  if (fs::is_directory(destination, failed)) refuse(path, "it is a folder");
  if (fs::exists(destination, failed)) {
    if (!fs::is_regular_file(destination, failed)) refuse(path, "it is not a regular file");
    if (access(destination.c_str(), W_OK) != 0) refuse(path, std::strerror(errno));
  }
  return destination;
}

}  // namespace

void check_writable(const std::string& path) {
  const fs::path destination = checked_destination(path);
  try {
    const Temporary temporary(temporary_beside(destination));
  } catch (const Error& error) {
    refuse(path, error.what());
  }
}

void write_atomically(const std::string& path,
                      const std::function<void(const std::string& temporary)>& write) {
  const fs::path destination = checked_destination(path);
  try {
    Temporary temporary(temporary_beside(destination));
    write(temporary.path().string());
    flush_to_disk(temporary.path(), O_WRONLY);
    temporary.rename_to(destination);
    flush_to_disk(folder_of(destination), O_RDONLY);
  } catch (const Error& error) {
    refuse(path, error.what());
  }
}

void write_file_atomically(const std::string& path, const std::string& bytes) {
  write_atomically(path, [&bytes](const std::string& temporary) {
    const int file = open(temporary.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (file < 0) throw Error(std::strerror(errno));
    size_t done = 0;
    int code = 0;
    while (done < bytes.size() && code == 0) {
      const ssize_t count = ::write(file, bytes.data() + done, bytes.size() - done);
      if (count > 0) {
        done += static_cast<size_t>(count);
      } else if (count == 0 || errno != EINTR) {
        code = count == 0 ? ENOSPC : errno;
      }
    }
    if (close(file) != 0 && code == 0) code = errno;
    if (code != 0) throw Error(std::strerror(code));
  });
}

}  // namespace mambaseg
