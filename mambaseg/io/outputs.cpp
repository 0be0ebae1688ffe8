#include "mambaseg/io/outputs.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/formats.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// What tells that two names lead to one file: the place, and of a file that is there its number on the disk.
std::vector<std::string> identities(const fs::path& path) {
  std::error_code failed;
  // Twice: "new/../in" leads to a folder only after "new", which is made on the way, has gone from the name.
  fs::path place = fs::weakly_canonical(fs::absolute(path, failed), failed);
  if (!failed) place = fs::weakly_canonical(place, failed);
  std::vector<std::string> found{(failed ? path : place).string()};
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) found.push_back(concat("/", status.st_dev, "//", status.st_ino));
  return found;
}

/// The file, and what belongs to it by name: the voxels of a header, the header of voxels.
std::vector<fs::path> parts_of(const fs::path& path) {
  static const std::vector<std::vector<std::string>> kTogether{
      {".hdr", ".img"}, {".mhd", ".raw", ".zraw"}, {".nhdr", ".raw.gz"}};
  std::vector<fs::path> parts{path};
  for (const auto& endings : kTogether)
    if (std::find(endings.begin(), endings.end(), path.extension()) != endings.end())
      for (const std::string& ending : endings)
        if (ending != path.extension()) parts.push_back(fs::path(path).replace_extension(ending));
  return parts;
}

/// Finds what was added under another name of the same file.
class Files {
 public:
  void add(const fs::path& path, const std::string& what) {
    for (const fs::path& part : parts_of(path))
      for (const std::string& identity : identities(part)) what_.emplace(identity, what);
  }
  const std::string* find(const fs::path& path) const {
    for (const fs::path& part : parts_of(path))
      for (const std::string& identity : identities(part))
        if (const auto found = what_.find(identity); found != what_.end()) return &found->second;
    return nullptr;
  }

 private:
  std::map<std::string, std::string> what_;
};

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

void check_outputs(const std::vector<std::string>& inputs, const std::vector<Output>& outputs) {
  Files read, written;
  for (const std::string& input : inputs) read.add(input, input);
  for (const Output& output : outputs) {
    if (const std::string* input = read.find(output.path))
      throw UsageError(concat(output.path, ": ", output.what, " would replace the input ", *input,
                              "; choose another output"));
    if (const std::string* folder = read.find(folder_of(output.path)))
      throw UsageError(concat(output.path, ": ", output.what, " would lie among the inputs in ", *folder,
                              "; choose another folder for the output"));
    if (const std::string* other = written.find(output.path))
      throw UsageError(concat(output.path, ": ", *other, " and ", output.what,
                              " would be one file; rename an input, or choose another output"));
    written.add(output.path, output.what);
  }
}

bool names_file(const std::string& output, bool can_write, const std::string& endings) {
  if (can_write) return true;
  const fs::path path(output);
  const std::string ending = path.extension().string();
  const bool has_ending = std::any_of(ending.begin(), ending.end(),
                                      [](unsigned char letter) { return std::isalpha(letter) != 0; });
  std::error_code failed;
  if (!has_ending || fs::is_directory(path, failed)) return false;  // "out", "out/", "run.2", a folder
  throw UsageError(concat(output, ": cannot be written; expected a file with one of the endings ", endings,
                          ", or a folder: one that is there, or a name with / at its end"));
}

bool names_volume_file(const std::string& output) {
  std::string endings;
  for (const ImageFormat& format : image_formats())
    for (const std::string& ending : format.endings)
      if (format.write != nullptr) endings += (endings.empty() ? "" : ", ") + ending;
  return names_file(output, is_image_name(output), endings);
}

void prepare_outputs(const std::vector<std::string>& inputs, const std::vector<Output>& outputs) {
  check_outputs(inputs, outputs);
  std::set<std::string> folders;
  for (const Output& output : outputs)
    folders.insert(std::filesystem::path(output.path).parent_path().string());
  for (const std::string& folder : folders) make_folder(folder.empty() ? "." : folder);
}

}  // namespace mambaseg
