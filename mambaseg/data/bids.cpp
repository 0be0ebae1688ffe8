#include "mambaseg/data/bids.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "mambaseg/io/image.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

struct Name {
  std::string id;      ///< "sub-r001s001_ses-1"
  std::string suffix;  ///< "T1w"
};

/// Words of a BIDS name; an empty id when it is none.
Name parsed(const std::string& stem) {
  Name out;
  if (!stem.starts_with("sub-")) return out;
  size_t end = stem.find('_');
  if (end == std::string::npos) return out;
  if (stem.compare(end + 1, 4, "ses-") == 0) end = std::min(stem.find('_', end + 1), stem.size());
  out.id = stem.substr(0, end);
  out.suffix = stem.substr(stem.rfind('_') + 1);
  return out;
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
  std::map<std::string, std::map<std::string, std::vector<std::string>>> files;  // id, suffix
  for (const auto& entry : fs::recursive_directory_iterator(settings.folder)) {
    const std::string path = entry.path().string();
    if (!entry.is_regular_file() || !is_image_name(path)) continue;
    const Name name = parsed(image_stem(path));
    const auto& wanted = settings.channels;
    if (name.id.empty() || (name.suffix != settings.mask &&
                            std::find(wanted.begin(), wanted.end(), name.suffix) == wanted.end()))
      continue;
    files[name.id][name.suffix].push_back(path);
  }
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
