#include "cli/model_folders.h"

#include <filesystem>

namespace mambaseg {

namespace fs = std::filesystem;

std::vector<std::string> model_folders() {
  std::vector<std::string> folders;
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  if (!failed)
    folders.push_back(
        (program.parent_path().parent_path() / "share/mambaseg/models").lexically_normal().string());
  folders.emplace_back(MAMBASEG_MODELS);
  return folders;
}

}  // namespace mambaseg
