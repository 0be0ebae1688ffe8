#include "mambaseg/session/installation.h"

#include <dlfcn.h>
#include <link.h>

#include <filesystem>

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// The file of the program or shared library that holds this function; empty where the system does not tell.
fs::path own_file() {
  Dl_info info{};
  link_map* map = nullptr;
  const bool found = dladdr1(reinterpret_cast<const void*>(&own_file), &info, reinterpret_cast<void**>(&map),
                             RTLD_DL_LINKMAP) != 0;
  if (found && map && map->l_name && *map->l_name) return fs::absolute(map->l_name);
  std::error_code failed;  // the program itself has no name in its map
  return fs::read_symlink("/proc/self/exe", failed);
}

}  // namespace

std::vector<std::string> model_folders() {
  std::vector<std::string> folders;
  const fs::path in = own_file().parent_path();
  // bin/, lib/ or lib/x86_64-linux-gnu/ of an installation
  for (const fs::path& prefix : {in.parent_path(), in.parent_path().parent_path()}) {
    const fs::path folder = prefix / "share/mambaseg/models";
    std::error_code failed;
    if (prefix == in.parent_path() || fs::is_directory(folder, failed))
      folders.push_back(folder.lexically_normal().string());
  }
  folders.emplace_back(MAMBASEG_MODELS);
  return folders;
}

}  // namespace mambaseg
