#include "mambaseg/data/bids.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "mambaseg/data/folder_pairs.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/image_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// "sub-r001s001_ses-1", the subject and session of a BIDS name; empty when it is none.
std::string id_of(const std::string& stem) {
  if (!stem.starts_with("sub-")) return "";
  size_t end = stem.find('_');
  if (end == std::string::npos) return "";
  if (stem.compare(end + 1, 4, "ses-") == 0) end = std::min(stem.find('_', end + 1), stem.size());
  return stem.substr(0, end);
}

/// Calls `visit` with every file below `folder`, links to files and folders followed. Links to nothing whose
/// names look like BIDS are noted, and so are links that lead back to a folder above them.
void for_each_file(const fs::path& folder, std::set<fs::path> above, Problems& problems,
                   const std::function<void(const fs::path&)>& visit) {
  above.insert(fs::canonical(folder));
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path& path = entry.path();
    if (is_dangling_link(path.string())) {
      if (path.filename().string().starts_with("sub-") || path.filename().string().starts_with("ses-"))
        note_dangling(path.string(), problems);
    } else if (!entry.is_directory()) {
      visit(path);
    } else if (above.count(fs::canonical(path))) {
      problems.add(path.string(), " is a link to a folder above it, ", fs::canonical(path).string());
    } else {
      for_each_file(path, above, problems, visit);
    }
  }
}

/// Takes the one file for `what`, or notes the problem.
std::string only(const std::vector<std::string>& files, const std::string& id, const std::string& what,
                 Problems& problems) {
  if (files.size() == 1) return files[0];
  if (files.empty())
    problems.add("case ", id, " has no file *_", what);
  else
    problems.add("case ", id, " has ", files.size(), " files *_", what, ": ", files[0], ", ", files[1]);
  return files.empty() ? "" : files[0];
}

}  // namespace

std::vector<Case> read_bids(const DatasetSettings& settings, Problems& problems) {
  if (settings.channels.empty())
    throw UsageError(
        "setting data.dataset.channels: expected the last words of the image names, as [\"T1w\"]");
  std::vector<std::string> wanted = settings.channels;  // the last words: "T1w", or "label-lesion_mask"
  wanted.push_back(settings.mask);
  std::map<std::string, std::map<std::string, std::vector<std::string>>> files;  // id, last words
  // A subject may be reached by two ways; two subjects may share a file (of no lesion, for instance).
  std::set<std::tuple<std::string, std::string, fs::path>> seen;
  for_each_file(settings.folder, {}, problems, [&](const fs::path& file) {
    const std::string path = file.string();
    if (!is_volume_name(path)) return;
    const std::string stem = image_stem(path), id = id_of(stem);
    if (id.empty()) return;
    for (const std::string& words : wanted)
      if (stem.ends_with("_" + words) && seen.emplace(id, words, fs::canonical(file)).second)
        files[id][words].push_back(path);
  });
  std::vector<Case> cases;
  for (auto& [id, by_suffix] : files) {
    for (auto& [suffix, paths] : by_suffix) std::sort(paths.begin(), paths.end());
    Case one;
    one.id = id;
    one.subject = id.substr(0, id.find('_'));
    for (const std::string& channel : settings.channels)
      one.images.push_back(only(by_suffix[channel], id, channel, problems));
    one.labels = only(by_suffix[settings.mask], id, settings.mask, problems);
    cases.push_back(std::move(one));
  }
  return cases;
}

}  // namespace mambaseg
