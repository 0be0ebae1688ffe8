#include "mambaseg/segment/bids_images.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"
#include "mambaseg/report/pairing.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDescription = "dataset_description.json";

/// The names in a folder that begin so, sorted; of folders alone, or of everything.
std::vector<std::string> names_in(const fs::path& folder, const std::string& start, bool folders) {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(start) && (!folders || entry.is_directory())) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string found_in(const std::vector<std::string>& names) {
  return names.empty() ? "nothing" : name_list(names);
}

/// The folders that labels mean: `prefix` may stand before a label.
std::set<std::string> with_prefix(const std::string& prefix, const std::vector<std::string>& labels) {
  std::set<std::string> names;
  for (const std::string& label : labels) names.insert(label.starts_with(prefix) ? label : prefix + label);
  return names;
}

void add_images(const std::string& dataset, const std::string& participant, const std::string& session,
                std::map<std::string, BidsImage>& images) {
  const BidsImage place{participant, session, "", ""};
  const fs::path folder = fs::path(dataset) / place.folder();
  const std::string start = participant + "_" + (session.empty() ? "" : session + "_");
  for (const std::string& file : names_in(folder, start, false)) {
    const std::string stem = image_stem(file);
    if (!stem.ends_with("_T1w") || (file != stem + ".nii" && file != stem + ".nii.gz")) continue;
    BidsImage image{participant, session, stem.substr(0, stem.size() - 4), (folder / file).string()};
    const auto [other, fresh] = images.emplace(stem, image);
    require(fresh, other->second.path, " and ", image.path, ": expected one of the two");
  }
}

}  // namespace

std::string BidsImage::folder() const {
  return (fs::path(participant) / session / "anat").lexically_normal().string();
}

Json read_dataset_description(const std::string& dataset) {
  require(fs::is_directory(dataset), dataset, ": no such folder; expected a BIDS data set");
  const std::string path = (fs::path(dataset) / kDescription).string();
  require(fs::exists(path), dataset, ": no ", kDescription, ", which a BIDS data set has; found ",
          found_in(names_in(dataset, "", false)));
  const Json description = read_json(path);
  for (const char* key : {"Name", "BIDSVersion"})
    require(description.is_object() && description.contains(key), path, ": no ", key,
            ", which BIDS requires");
  return description;
}

std::vector<BidsImage> find_bids_images(const std::string& dataset, const BidsSelection& selection) {
  const std::vector<std::string> all = names_in(dataset, "sub-", true);
  require(!all.empty(), dataset, ": no participant sub-*; found ", found_in(names_in(dataset, "", false)));
  const std::set<std::string> participants = with_prefix("sub-", selection.participants);
  const std::set<std::string> sessions = with_prefix("ses-", selection.sessions);
  for (const std::string& participant : participants)
    require(std::find(all.begin(), all.end(), participant) != all.end(), dataset, ": no ", participant,
            "; it has ", all.size(), " participants: ", name_list(all));
  std::map<std::string, BidsImage> images;
  std::set<std::string> sessions_found;
  for (const std::string& participant : all) {
    if (!participants.empty() && !participants.contains(participant)) continue;
    const size_t before = images.size();
    if (sessions.empty()) add_images(dataset, participant, "", images);
    for (const std::string& session : names_in(fs::path(dataset) / participant, "ses-", true)) {
      sessions_found.insert(session);
      if (sessions.empty() || sessions.contains(session)) add_images(dataset, participant, session, images);
    }
    require(images.size() > before || !participants.contains(participant) || !sessions.empty(), dataset, ": ",
            participant, " has no image [ses-*/]anat/*_T1w.nii[.gz]");
  }
  for (const std::string& session : sessions)
    require(sessions_found.contains(session), dataset, ": no ", session, "; these participants have ",
            found_in({sessions_found.begin(), sessions_found.end()}));
  require(!images.empty(), dataset, ": no image sub-*/[ses-*/]anat/*_T1w.nii[.gz] of these participants");
  std::vector<BidsImage> sorted;
  for (auto& [name, image] : images) sorted.push_back(std::move(image));
  return sorted;
}

}  // namespace mambaseg
