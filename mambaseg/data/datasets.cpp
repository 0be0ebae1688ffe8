#include "mambaseg/data/datasets.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "mambaseg/data/bids.h"
#include "mambaseg/data/case_names.h"
#include "mambaseg/data/decathlon.h"
#include "mambaseg/data/folder_pairs.h"
#include "mambaseg/data/picture_datasets.h"
#include "mambaseg/data/problems.h"
#include "mambaseg/io/channels.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/image_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

std::vector<Case> read_freesurfer(const DatasetSettings& settings, Problems& problems) {
  std::vector<Case> cases;
  for (const auto& entry : fs::directory_iterator(settings.folder)) {
    const std::string id = entry.path().filename().string();
    if (id.starts_with(".") || is_freesurfer_template(id)) continue;
    if (note_dangling(entry.path().string(), problems) || !entry.is_directory()) continue;
    if (!fs::is_directory(entry.path() / "mri")) continue;
    Case one{id, {(entry.path() / settings.image).string()}, (entry.path() / settings.labels).string(), ""};
    if (!settings.region.empty()) one.region = (entry.path() / settings.region).string();
    for (const std::string& path : {one.images[0], one.labels, one.region})
      if (!path.empty() && !fs::is_regular_file(path)) problems.add("subject ", id, " lacks ", path);
    cases.push_back(std::move(one));
  }
  return cases;
}

/// labels/NAME, with images/NAME where there is a scan of it: these validate.
std::vector<Case> read_label_maps(const fs::path& folder, Problems& problems) {
  std::vector<Case> cases;
  std::map<std::string, std::string> scans;
  if (fs::is_directory(folder / "images"))
    for (const std::string& path : image_files((folder / "images").string(), FolderOf::kImages))
      scans[image_stem(path)] = path;
  for (const std::string& path : image_files((folder / "labels").string(), FolderOf::kLabels)) {
    Case one{image_stem(path), {}, path, path, "train"};
    if (const auto scan = scans.find(one.id); scan != scans.end()) {
      one.images = {scan->second};
      one.subset = "validation";
      scans.erase(scan);
    }
    if (!note_dangling(path, problems)) cases.push_back(std::move(one));
  }
  for (const auto& [name, path] : scans) problems.add("image ", path, " has no labels");
  return cases;
}

bool holds_bids_subjects(const fs::path& folder) {
  const auto entries = fs::directory_iterator(folder);
  return std::any_of(begin(entries), end(entries), [](const fs::directory_entry& entry) {
    return entry.path().filename().string().starts_with("sub-");
  });
}

std::string detect_layout(const fs::path& folder) {
  if (fs::is_regular_file(folder / "dataset.json")) return "decathlon";
  if (fs::is_directory(folder / "images") && fs::is_directory(folder / "labels")) return "folders";
  std::error_code failed;  // a link that leads to itself is an error, and no subject
  for (const auto& entry : fs::directory_iterator(folder))
    if (fs::is_directory(entry.path() / "mri", failed)) return "freesurfer";
  if (const std::string pictures = detect_picture_layout(folder.string()); !pictures.empty()) return pictures;
  require(
      !holds_bids_subjects(folder), folder.string(),
      ": holds BIDS subjects (sub-*); say which of their files are images and labels: data.dataset.layout "
      "= \"bids\", data.dataset.channels = [\"T1w\"], data.dataset.mask = \"mask\"");
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
  if (layout == "folders") cases = paired_folders(folder / "images", folder / "labels", {}, problems);
  if (layout == "label_maps") cases = read_label_maps(folder, problems);
  if (layout == "bids") cases = read_bids(settings, problems);
  if (layout == "masks" || layout == "isic" || layout == "ph2")
    cases = read_picture_dataset(settings.folder, layout, problems);
  problems.raise(settings.folder);
  require(!cases.empty(), settings.folder, ": no case found (layout ", layout, ")");
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) { return a.id < b.id; });
  return cases;
}

int64_t channels_of(const Case& one) {
  int64_t channels = 0;
  for (const std::string& path : one.images) channels += count_channels(path);
  return channels;
}

}  // namespace mambaseg
