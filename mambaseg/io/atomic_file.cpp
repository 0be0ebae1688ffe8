#include "mambaseg/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>
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

/// A link is followed, so that the file it names is replaced and the link stays.
fs::path destination_of(const std::string& path) {
  std::error_code failed;
  const fs::path resolved = fs::weakly_canonical(path, failed);
  return failed ? fs::path(path) : resolved;
}

[[noreturn]] void refuse(const std::string& path, const std::string& cause) {
  throw Error("cannot write " + path + ": " + cause);
}

constexpr char kTemporary[] = ".mambaseg-";

/// A new file under a name that no other process has, on whatever machine, and locked as long as it is
/// written, so that make_folder knows it from one that was left behind.
class Temporary {
 public:
  Temporary(const fs::path& folder, const std::string& ending) {
    std::random_device random;
    for (;;) {
      std::ostringstream name;
      name << kTemporary << std::hex << random() << random() << ending;
      path_ = folder / name.str();
      file_.emplace(path_, O_CREAT | O_EXCL | O_RDWR);
      if (file_->lock() && file_->names() > 0) return;
      file_.reset();  // make_folder of another process was faster
    }
  }
  ~Temporary() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove(path_, ignored);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  const fs::path& path() const { return path_; }
  OpenFile& file() { return *file_; }
  void rename_to(const fs::path& destination) {
    if (std::rename(path_.c_str(), destination.c_str()) != 0) throw Error(std::strerror(errno));
    path_.clear();
  }
  /// The file goes on without its name.
  OpenFile unnamed() {
    if (unlink(path_.c_str()) != 0) throw Error(std::strerror(errno));
    path_.clear();
    return std::move(*file_);
  }

 private:
  fs::path path_;
  std::optional<OpenFile> file_;
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

/// A file that is on the disk under a temporary name. Errors name its path.
class NewFile {
 public:
  explicit NewFile(const FilePart& part) : path_(part.path), destination_(checked_destination(path_)) {
    named([&] {
      temporary_.emplace(folder_of(destination_), ending_of(destination_));
      part.write(temporary_->path().string());
      temporary_->file().sync();
    });
  }
  void remove_former() {
    named([&] {
      if (unlink(destination_.c_str()) != 0 && errno != ENOENT) throw Error(std::strerror(errno));
      flush_folder();
    });
  }
  void take_place() {
    named([&] {
      temporary_->rename_to(destination_);
      flush_folder();
    });
  }

 private:
  template <class Action>
  void named(const Action& action) const {
    try {
      action();
    } catch (const Error& error) {
      refuse(path_, error.what());
    }
  }
  void flush_folder() const { OpenFile(folder_of(destination_), O_RDONLY).sync(); }

  std::string path_;
  fs::path destination_;
  std::optional<Temporary> temporary_;
};

}  // namespace

void check_writable(const std::string& path) {
  const fs::path destination = checked_destination(path);
  try {
    const Temporary temporary(folder_of(destination), ending_of(destination));
  } catch (const Error& error) {
    refuse(path, error.what());
  }
}

void write_atomically(const std::string& path,
                      const std::function<void(const std::string& temporary)>& write) {
  NewFile file({path, write});
  file.take_place();
}

void write_pair_atomically(const FilePart& voxels, const FilePart& header) {
  NewFile new_voxels(voxels), new_header(header);
  new_header.remove_former();
  new_voxels.take_place();
  new_header.take_place();
}

std::function<void(const std::string& temporary)> writer_of(const std::string& bytes) {
  return [&bytes](const std::string& temporary) {
    OpenFile file(temporary, O_WRONLY | O_TRUNC);
    file.write(bytes.data(), bytes.size());
    file.close();
  };
}

void write_file_atomically(const std::string& path, const std::string& bytes) {
  write_atomically(path, writer_of(bytes));
}

void make_folder(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  require(!failed && fs::is_directory(path, failed), path,
          ": this folder cannot be made: ", failed ? failed.message() : "a file has its name");
  for (fs::directory_iterator entry(path, failed), end; !failed && entry != end; entry.increment(failed)) {
    if (!entry->path().filename().string().starts_with(kTemporary)) continue;
    try {
      OpenFile file(entry->path(), O_RDWR | O_NOFOLLOW), again(entry->path(), O_RDWR | O_NOFOLLOW);
      const bool nobody_has_it = file.lock(), locks_exist = !again.lock();
      if (nobody_has_it && locks_exist) unlink(entry->path().c_str());
    } catch (const Error&) {
      // gone meanwhile, or of another user
    }
  }
}

OpenFile scratch_file(const std::string& folder) {
  return with_context(folder, [&] {
    return with_context("a temporary file cannot be made", [&] { return Temporary(folder, "").unnamed(); });
  });
}

}  // namespace mambaseg
