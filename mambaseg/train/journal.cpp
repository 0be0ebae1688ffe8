#include "mambaseg/train/journal.h"

#include <fcntl.h>

#include <filesystem>

namespace mambaseg {
namespace {

OpenFile open_checked(const std::string& path, int64_t keep_bytes) {
  namespace fs = std::filesystem;
  const bool exists = fs::exists(path);
  require(exists || keep_bytes == 0, path, ": missing, but the saved state counts ", keep_bytes,
          " bytes of it");
  const auto size = static_cast<int64_t>(exists ? fs::file_size(path) : 0);
  require(size >= keep_bytes, path, ": has ", size, " bytes, but the saved state counts ", keep_bytes);
  return with_context("cannot write " + path, [&] {
    OpenFile file(path, O_CREAT | O_WRONLY | O_APPEND);
    if (size > keep_bytes) file.resize(keep_bytes);
    return file;
  });
}

}  // namespace

Journal::Journal(const std::string& path, int64_t keep_bytes)
    : path_(path), file_(open_checked(path, keep_bytes)), bytes_(keep_bytes) {}

void Journal::write(const Json& line) {
  const std::string text = line.dump() + "\n";
  with_context("cannot write " + path_, [&] {
    try {
      file_.write(text.data(), text.size());
    } catch (const Error&) {
      file_.resize(bytes_);  // a disk that is full may have taken half of the line
      throw;
    }
  });
  bytes_ += static_cast<int64_t>(text.size());
}

void Journal::sync() {
  with_context("cannot write " + path_, [&] { file_.sync(); });
}

}  // namespace mambaseg
