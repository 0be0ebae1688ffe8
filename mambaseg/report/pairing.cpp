#include "mambaseg/report/pairing.h"

#include <filesystem>
#include <map>

#include "mambaseg/core/error.h"
#include "mambaseg/data/picture_datasets.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/image_folder.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> images_by_name(const std::string& folder) {
  std::map<std::string, std::string> found;
  for (const std::string& path : image_files(folder, FolderOf::kLabels)) {
    const std::string stem = image_stem(path);
    const auto [place, fresh] = found.emplace(is_picture_name(path) ? picture_of_mask(stem) : stem, path);
    require(fresh, folder, ": two images are called \"", place->first,
            "\": ", fs::path(place->second).filename().string(), " and ", fs::path(path).filename().string());
  }
  require(!found.empty(), folder, ": no images in this folder");
  return found;
}

}  // namespace

Pairing pair_cases(const std::string& reference, const std::string& prediction) {
  for (const std::string& path : {reference, prediction})
    require(fs::exists(path), path, ": no such file or folder");
  const bool folders = fs::is_directory(reference);
  require(folders == fs::is_directory(prediction), "expected two files or two folders, got ", reference, " (",
          folders ? "folder" : "file", ") and ", prediction, " (", folders ? "file" : "folder", ")");
  if (!folders) return {{{image_stem(reference), reference, prediction}}, {}, {}};

  const auto references = images_by_name(reference);
  auto predictions = images_by_name(prediction);
  Pairing pairing;
  for (const auto& [name, path] : references) {
    const auto found = predictions.find(name);
    if (found == predictions.end()) {
      pairing.missing.push_back(name);
      continue;
    }
    pairing.pairs.push_back({name, path, found->second});
    predictions.erase(found);
  }
  for (const auto& [name, path] : predictions) pairing.extra.push_back(name);
  require(!pairing.pairs.empty(), "no name in common: ", reference, " has ", name_list(pairing.missing, 3),
          "; ", prediction, " has ", name_list(pairing.extra, 3));
  return pairing;
}

std::string name_list(const std::vector<std::string>& names, size_t most) {
  std::string line;
  for (size_t n = 0; n < names.size() && n < most; ++n) line += (n ? ", " : "") + names[n];
  if (names.size() > most) line += concat(" and ", names.size() - most, " more");
  return line;
}

}  // namespace mambaseg
