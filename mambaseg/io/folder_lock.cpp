#include "mambaseg/io/folder_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line.empty() ? "another process" : line;
}

}  // namespace

std::string this_process() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) return concat("process ", getpid());
  return concat("process ", getpid(), " on ", host.data());
}

FolderLock::FolderLock(const std::string& folder)
    : path_((std::filesystem::path(folder) / ".lock").string()) {
  do {  // once more when the other removed the file between our opening and locking it
    with_context("cannot write " + path_, [&] { file_.emplace(path_, O_CREAT | O_RDWR); });
    require(file_->lock(), folder, ": ", first_line(path_),
            " works in this folder; wait for its end, or choose another folder");
  } while (file_->names() == 0);
  try {
    const std::string line = this_process() + "\n";
    file_->resize(0);
    file_->write(line.data(), line.size());
  } catch (const Error& error) {
    unlink(path_.c_str());
    throw Error(concat("cannot write ", path_, ": ", error.what()));
  }
}

FolderLock::~FolderLock() { unlink(path_.c_str()); }

}  // namespace mambaseg
