#include "mambaseg/data/decathlon.h"

#include "mambaseg/data/case_names.h"
#include "mambaseg/data/folder_pairs.h"
#include "mambaseg/io/image.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

DeclaredFiles declared_files(const Json& json) {
  DeclaredFiles out;
  for (const char* key : {"channel_names", "modality"})
    if (out.channels == 0 && json.contains(key) && json[key].is_structured()) out.channels = json[key].size();
  if (json.contains("file_ending") && json["file_ending"].is_string()) out.ending = json["file_ending"];
  return out;
}

std::string at(const fs::path& folder, const std::string& path) {
  return (folder / path).lexically_normal().string();
}

/// Adds the case if its files are there.
void add_case(Case one, const DeclaredFiles& declared, std::vector<Case>& cases, Problems& problems) {
  bool there = !one.images.empty();
  if (!there) problems.add("case ", one.id, " of dataset.json has no image");
  std::vector<std::string> paths = one.images;
  paths.push_back(one.labels);
  for (const std::string& path : paths)
    if (!fs::is_regular_file(path)) {
      there = false;
      if (!note_dangling(path, problems))
        problems.add("case ", one.id, " of dataset.json: ", path, " is not there");
    }
  if (!there) return;
  check_channels(one, declared, problems);
  cases.push_back(std::move(one));
}

/// nnU-Net 2: {"dataset": {"CASE": {"images": [...], "label": ...}}}
std::vector<Case> listed_cases(const Json& list, const fs::path& folder, const DeclaredFiles& declared,
                               Problems& problems) {
  std::vector<Case> cases;
  for (const auto& [id, files] : list.items()) {
    require(files.is_object() && files.contains("images") && files["images"].is_array() &&
                files.contains("label") && files["label"].is_string(),
            "dataset.json: case ", id, ": expected {\"images\": [paths], \"label\": path}, got ",
            files.dump().substr(0, 80));
    Case one{id, {}, at(folder, files["label"].get<std::string>()), ""};
    for (const Json& image : files["images"]) {
      require(image.is_string(), "dataset.json: case ", id, ": expected paths in \"images\", got ",
              image.dump());
      one.images.push_back(at(folder, image.get<std::string>()));
    }
    add_case(std::move(one), declared, cases, problems);
  }
  return cases;
}

/// The channels of an image that a list names without their numbers, as nnU-Net 1 does.
std::vector<std::string> channel_files(const std::string& image) {
  if (fs::exists(image)) return {image};
  std::vector<std::string> files;
  const std::string stem = image_stem(image);
  const fs::path folder = fs::path(image).parent_path();
  const std::string ending = fs::path(image).filename().string().substr(stem.size());
  for (;;) {
    char number[16];
    std::snprintf(number, sizeof number, "_%04d", static_cast<int>(files.size()));
    const std::string path = (folder / (stem + number + ending)).string();
    if (!fs::exists(path)) break;
    files.push_back(path);
  }
  return files.empty() ? std::vector{image} : files;
}

/// The Decathlon's list {"training": [{"image": ..., "label": ...}]}.
std::vector<Case> training_list(const Json& list, const fs::path& folder) {
  std::vector<Case> cases;
  for (const Json& entry : list) {
    if (!entry.is_object() || !entry.contains("image") || !entry["image"].is_string() ||
        !entry.contains("label") || !entry["label"].is_string())
      return {};  // a list of another kind
    const std::string label = at(folder, entry["label"].get<std::string>());
    cases.push_back(
        {image_stem(label), channel_files(at(folder, entry["image"].get<std::string>())), label, ""});
  }
  return cases;
}

/// Whether a list pairs files that are there under other names than image and labels share.
bool pairs_other_names(const std::vector<Case>& listed) {
  for (const Case& one : listed) {
    const std::string stem = image_stem(one.images[0]);
    if (stem != one.id && numbered_name(stem).name != one.id && fs::exists(one.images[0])) return true;
  }
  return false;
}

}  // namespace

std::vector<Case> read_decathlon(const fs::path& folder, Problems& problems) {
  const fs::path path = folder / "dataset.json";
  require(fs::is_regular_file(path), folder.string(),
          ": no dataset.json, which a Decathlon or nnU-Net folder has");
  const Json json = read_json(path.string());
  require(json.is_object(), path.string(), ": expected a table");
  const DeclaredFiles declared = declared_files(json);
  if (json.contains("dataset") && json["dataset"].is_object() && !json["dataset"].empty())
    return listed_cases(json["dataset"], folder, declared, problems);
  const bool folders = fs::is_directory(folder / "imagesTr") && fs::is_directory(folder / "labelsTr");
  const auto listed = json.contains("training") && json["training"].is_array()
                          ? training_list(json["training"], folder)
                          : std::vector<Case>{};
  if (listed.empty() || (folders && !pairs_other_names(listed)))
    return paired_folders(folder / "imagesTr", folder / "labelsTr", declared, problems);
  std::vector<Case> cases;
  for (const Case& one : listed) add_case(one, declared, cases, problems);
  return cases;
}

}  // namespace mambaseg
