#include "mambaseg/train/journal.h"

#include <filesystem>
#include <fstream>

namespace mambaseg {

Journal::Journal(const std::string& path, int64_t keep_bytes) : path_(path), bytes_(keep_bytes) {
  namespace fs = std::filesystem;
  if (!fs::exists(path)) {
    require(keep_bytes == 0, path, ": missing, but the saved state counts ", keep_bytes, " bytes of it");
    require(std::ofstream(path).good(), path, ": cannot be written");
    return;
  }
  const auto size = static_cast<int64_t>(fs::file_size(path));
  require(size >= keep_bytes, path, ": has ", size, " bytes, but the saved state counts ", keep_bytes);
  fs::resize_file(path, static_cast<uintmax_t>(keep_bytes));
}

void Journal::write(const Json& line) {
  const std::string text = line.dump() + "\n";
  std::ofstream out(path_, std::ios::app | std::ios::binary);
  out << text << std::flush;
  require(out.good(), path_, ": cannot be written");
  bytes_ += static_cast<int64_t>(text.size());
}

}  // namespace mambaseg
