#include "mambaseg/data/picture_datasets.h"

#include <filesystem>
#include <map>

#include "mambaseg/data/case_names.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

using Paths = std::map<std::string, std::string>;  ///< name of a picture -> file

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (!entry.path().filename().string().starts_with(".")) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

void add_pictures(const fs::path& folder, bool masks, Paths& found, Problems& problems) {
  std::vector<fs::path> others;
  for (const fs::path& path : entries_of(folder)) {
    if (!fs::is_regular_file(path)) continue;
    if (is_other_picture_name(path.string())) others.push_back(path);
    if (!is_picture_name(path.string())) continue;
    const std::string stem = image_stem(path.string()), name = masks ? picture_of_mask(stem) : stem;
    if (const auto [place, fresh] = found.emplace(name, path.string()); !fresh)
      problems.add("two ", masks ? "masks" : "pictures", " of one name: ", place->second, " and ",
                   path.string());
  }
  for (const fs::path& path : others)
    if (const std::string stem = path.stem().string(); !found.count(masks ? picture_of_mask(stem) : stem))
      problems.add(path.string(), " is of a format that is not read (PNG, JPEG and BMP are); save it as PNG");
}

/// The files of each picture: NAME, or its channels NAME_0000, NAME_0001, ... where the mask is called NAME.
std::map<std::string, std::vector<std::string>> by_picture(const Paths& pictures, const Paths& masks) {
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& [name, path] : pictures) {
    const NumberedName numbered = numbered_name(name);
    const bool channel = numbered.channel >= 0 && !masks.count(name) && masks.count(numbered.name);
    files[channel ? numbered.name : name].push_back(path);
  }
  return files;
}

std::vector<Case> paired(const Paths& pictures, const Paths& masks, const std::string& subset,
                         Problems& problems) {
  const auto files = by_picture(pictures, masks);
  std::vector<Case> cases;
  for (const auto& [name, paths] : files) {
    const auto mask = masks.find(name);
    if (mask == masks.end())
      problems.add("picture ", paths.front(), " has no mask");
    else
      cases.push_back({name, paths, mask->second, "", subset});
  }
  for (const auto& [name, path] : masks)
    if (!files.count(name)) problems.add("mask ", path, " has no picture");
  return cases;
}

bool has_pair(const fs::path& folder) {
  return fs::is_directory(folder / "images") && fs::is_directory(folder / "masks");
}

std::vector<Case> read_pair(const fs::path& images, const fs::path& masks, const std::string& subset,
                            Problems& problems) {
  Paths pictures, labels;
  add_pictures(images, false, pictures, problems);
  add_pictures(masks, true, labels, problems);
  return paired(pictures, labels, subset, problems);
}

std::vector<Case> read_masks(const fs::path& folder, Problems& problems) {
  if (has_pair(folder)) return read_pair(folder / "images", folder / "masks", "", problems);
  std::vector<Case> all;
  for (const std::string subset : {"train", "validation", "test"})
    for (Case& one : read_pair(folder / subset / "images", folder / subset / "masks", subset, problems)) {
      one.id = subset + "_" + one.id;  // subsets are often numbered from 0 each
      all.push_back(std::move(one));
    }
  return all;
}

/// The folder of pictures of an ISIC download: the training part where there are several, as the others have
/// gained their ground truth only later and studies divide this one.
fs::path isic_input(const fs::path& folder) {
  fs::path input;
  for (const fs::path& path : entries_of(folder)) {
    const std::string name = path.filename().string();
    const bool training = name.find("Training") != std::string::npos;
    if (fs::is_directory(path) && name.ends_with("_Input") && (input.empty() || training)) input = path;
  }
  return input;
}

/// ISIC2018_Task1-2_Training_Input belongs to ISIC2018_Task1_Training_GroundTruth.
std::vector<Case> read_isic(const fs::path& folder, Problems& problems) {
  const fs::path input = isic_input(folder);
  const std::string part = input.filename().string().find("Training") != std::string::npos ? "Training" : "";
  for (const fs::path& path : entries_of(folder)) {
    const std::string name = path.filename().string();
    if (fs::is_directory(path) && name.ends_with("_GroundTruth") && name.find("Task1") != std::string::npos &&
        name.find(part) != std::string::npos)
      return read_pair(input, path, "", problems);
  }
  throw Error(concat(folder.string(), ": expected ISIC's ISIC2018_Task1-2_Training_Input and ",
                     "ISIC2018_Task1_Training_GroundTruth"));
}

/// The folder that holds the IMD folders: `folder`, or "PH2 Dataset images" in it.
fs::path ph2_images(const fs::path& folder) {
  const fs::path inner = folder / "PH2 Dataset images";
  return fs::is_directory(inner) ? inner : folder;
}

bool is_ph2_case(const fs::path& path) {
  return fs::is_directory(path / (path.filename().string() + "_Dermoscopic_Image"));
}

std::vector<Case> read_ph2(const fs::path& folder, Problems& problems) {
  Paths pictures, masks;
  for (const fs::path& path : entries_of(ph2_images(folder))) {
    if (!is_ph2_case(path)) continue;
    const std::string name = path.filename().string();
    add_pictures(path / (name + "_Dermoscopic_Image"), false, pictures, problems);
    add_pictures(path / (name + "_lesion"), true, masks, problems);
  }
  return paired(pictures, masks, "", problems);
}

}  // namespace

std::string picture_of_mask(const std::string& mask_stem) {
  for (const std::string ending : {"_segmentation", "_lesion", "_mask"})
    if (mask_stem.size() > ending.size() && mask_stem.ends_with(ending))
      return mask_stem.substr(0, mask_stem.size() - ending.size());
  return mask_stem;
}

std::string detect_picture_layout(const std::string& folder) {
  const fs::path path(folder);
  if (has_pair(path) || has_pair(path / "train")) return "masks";
  if (!isic_input(path).empty()) return "isic";
  for (const fs::path& entry : entries_of(ph2_images(path)))
    if (is_ph2_case(entry)) return "ph2";
  return "";
}

std::vector<Case> read_picture_dataset(const std::string& folder, const std::string& layout,
                                       Problems& problems) {
  if (layout == "isic") return read_isic(folder, problems);
  if (layout == "ph2") return read_ph2(folder, problems);
  return read_masks(folder, problems);
}

}  // namespace mambaseg
