#include "mambaseg/data/datasets.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "mambaseg/data/bids.h"
#include "mambaseg/data/picture_datasets.h"
#include "mambaseg/data/problems.h"
#include "mambaseg/io/image.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> image_files(const fs::path& folder) {
  std::vector<std::string> files;
  if (!fs::is_directory(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.empty() && name[0] != '.' && is_image_name(name)) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// "CASE" and 0 for "CASE_0000"; channel -1 for a name without a channel number.
std::pair<std::string, int> split_channel(const std::string& stem) {
  const size_t n = stem.size();
  if (n > 5 && stem[n - 5] == '_' &&
      std::all_of(stem.end() - 4, stem.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return {stem.substr(0, n - 5), std::stoi(stem.substr(n - 4))};
  return {stem, -1};
}

/// stem -> path of every label file; a stem that occurs twice (a.nii and a.nii.gz) is a problem.
std::map<std::string, std::string> label_files(const fs::path& folder, Problems& problems) {
  std::map<std::string, std::string> found;
  for (const std::string& path : image_files(folder)) {
    const auto [place, inserted] = found.emplace(image_stem(path), path);
    if (!inserted) problems.add("two files for case ", place->first, " in ", folder.string());
  }
  return found;
}

/// Images that belong to `labels` by name. nnU-Net's channel numbers count only where the name without them
/// is a case.
std::vector<Case> pair_up(const fs::path& images, const fs::path& labels, size_t channels,
                          Problems& problems) {
  const auto label_of = label_files(labels, problems);
  std::map<std::string, std::map<int, std::string>> images_of;
  for (const std::string& path : image_files(images)) {
    const std::string stem = image_stem(path);
    auto [id, channel] = split_channel(stem);
    if (channel >= 0 && label_of.count(stem) && !label_of.count(id))
      std::tie(id, channel) = std::pair(stem, -1);
    if (!images_of[id].emplace(std::max(channel, 0), path).second)
      problems.add("two images for case ", id, " in ", images.string());
  }
  std::vector<Case> cases;
  for (const auto& [id, by_channel] : images_of) {
    const auto label = label_of.find(id);
    if (label == label_of.end()) {
      problems.add("case ", id, " has no labels in ", labels.string());
      continue;
    }
    Case one{id, {}, label->second, ""};
    for (const auto& [channel, path] : by_channel) {
      if (channel != static_cast<int>(one.images.size()))
        problems.add("case ", id, " lacks channel ", one.images.size());
      one.images.push_back(path);
    }
    if (channels > 0 && one.images.size() != channels)
      problems.add("case ", id, " has ", one.images.size(), " channels, dataset.json declares ", channels);
    cases.push_back(std::move(one));
  }
  for (const auto& [id, path] : label_of)
    if (!images_of.count(id)) problems.add("labels ", path, " have no image in ", images.string());
  return cases;
}

/// The channels that dataset.json declares: "modality" (Decathlon, nnU-Net 1) or "channel_names" (nnU-Net 2).
size_t declared_channels(const fs::path& file) {
  const Json json = read_json(file.string());
  for (const char* key : {"channel_names", "modality"})
    if (json.contains(key) && json[key].is_object()) return json[key].size();
  return 0;
}

std::vector<Case> read_decathlon(const fs::path& folder, Problems& problems) {
  const fs::path json = folder / "dataset.json";
  require(fs::is_regular_file(json), folder.string(),
          ": no dataset.json, which a Decathlon or nnU-Net folder has");
  // Decathlon's channels of one case may sit in one 4-D file, so the count is checked only for numbered
  // channels.
  const size_t channels = declared_channels(json);
  return pair_up(folder / "imagesTr", folder / "labelsTr", channels > 1 ? channels : 0, problems);
}

std::vector<Case> read_freesurfer(const DatasetSettings& settings, Problems& problems) {
  std::vector<Case> cases;
  for (const auto& entry : fs::directory_iterator(settings.folder)) {
    const std::string id = entry.path().filename().string();
    // fsaverage is a template that FreeSurfer links into every SUBJECTS_DIR; it is no scan of the study.
    if (!entry.is_directory() || id.starts_with(".") || id.starts_with("fsaverage")) continue;
    if (!fs::is_directory(entry.path() / "mri")) continue;
    Case one{id, {(entry.path() / settings.image).string()}, (entry.path() / settings.labels).string(), ""};
    if (!settings.region.empty()) one.region = (entry.path() / settings.region).string();
    for (const std::string& path : {one.images[0], one.labels, one.region})
      if (!path.empty() && !fs::is_regular_file(path)) problems.add("subject ", id, " lacks ", path);
    cases.push_back(std::move(one));
  }
  return cases;
}

std::string detect_layout(const fs::path& folder) {
  if (fs::is_regular_file(folder / "dataset.json")) return "decathlon";
  if (fs::is_directory(folder / "images") && fs::is_directory(folder / "labels")) return "folders";
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && fs::is_directory(entry.path() / "mri")) return "freesurfer";
  if (const std::string pictures = detect_picture_layout(folder.string()); !pictures.empty()) return pictures;
  throw Error(concat(
      folder.string(),
      ": not a dataset: expected dataset.json with imagesTr and labelsTr, images/ and labels/, or "
      "subjects that hold mri/; or for pictures images/ and masks/, ISIC's *_Input and *_GroundTruth, or "
      "PH2's IMD folders"));
}

}  // namespace

std::vector<Case> read_dataset(const DatasetSettings& settings) {
  if (settings.folder.empty())
    throw UsageError("setting data.dataset.folder: expected the folder of the dataset, got \"\"");
  require(fs::is_directory(settings.folder), settings.folder, ": no such folder");
  const std::string layout = settings.layout == "auto" ? detect_layout(settings.folder) : settings.layout;
  const fs::path folder = settings.folder;
  Problems problems;
  std::vector<Case> cases;
  if (layout == "decathlon") cases = read_decathlon(folder, problems);
  if (layout == "freesurfer") cases = read_freesurfer(settings, problems);
  if (layout == "folders") cases = pair_up(folder / "images", folder / "labels", 0, problems);
  if (layout == "bids") cases = read_bids(settings, problems);
  if (layout == "masks" || layout == "isic" || layout == "ph2")
    cases = read_picture_dataset(settings.folder, layout, problems);
  problems.raise(settings.folder);
  require(!cases.empty(), settings.folder, ": no case found (layout ", layout, ")");
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.id < b.id; });
  return cases;
}

}  // namespace mambaseg
