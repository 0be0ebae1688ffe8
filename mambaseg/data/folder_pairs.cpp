#include "mambaseg/data/folder_pairs.h"

#include <algorithm>
#include <map>

#include "mambaseg/data/case_names.h"
#include "mambaseg/io/channels.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/image_folder.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_of(const fs::path& folder, FolderOf what, const std::string& ending,
                                  Problems& problems) {
  std::vector<std::string> files = image_files(folder.string(), what);
  std::erase_if(files, [&](const std::string& path) { return !path.ends_with(ending); });
  if (files.empty() && !ending.empty())
    problems.add(folder.string(), " holds no file *", ending, ", the file_ending of dataset.json");
  std::erase_if(files, [&](const std::string& path) { return note_dangling(path, problems); });
  return files;
}

}  // namespace

bool note_dangling(const std::string& path, Problems& problems) {
  if (!is_dangling_link(path)) return false;
  std::error_code failed;
  problems.add(path, " is a link to ", fs::read_symlink(path, failed).string(), ", which is not there");
  return true;
}

void check_channels(const Case& one, const DeclaredFiles& declared, Problems& problems) {
  if (declared.channels == 0) return;
  const std::string& first = one.images.at(0);
  const bool numbered = one.images.size() > 1 || numbered_name(image_stem(first)).channel == 0;
  if (!is_volume_name(first) && one.images.size() == 1) return;  // a picture holds its colours
  auto channels = static_cast<int64_t>(one.images.size());
  if (!numbered) {
    try {
      channels = count_channels(first);
    } catch (const Error&) {
      return;  // what is wrong is told where the image is read
    }
  }
  if (channels != static_cast<int64_t>(declared.channels))
    problems.add("case ", one.id, " has ", channels, channels == 1 ? " channel" : " channels", " (", first,
                 "), dataset.json declares ", declared.channels);
}

std::vector<Case> paired_folders(const fs::path& images, const fs::path& labels,
                                 const DeclaredFiles& declared, Problems& problems) {
  std::map<std::string, std::string> label_of;
  for (const std::string& path : files_of(labels, FolderOf::kLabels, declared.ending, problems))
    if (const auto [place, fresh] = label_of.emplace(image_stem(path), path); !fresh)
      problems.add("two files for case ", place->first, " in ", labels.string());
  std::map<std::string, std::map<int64_t, std::string>> images_of;
  for (const std::string& path : files_of(images, FolderOf::kImages, declared.ending, problems)) {
    const std::string stem = image_stem(path);
    NumberedName at = numbered_name(stem);
    if (label_of.count(stem) && !label_of.count(at.name)) at = {stem, -1};  // the number belongs to the name
    if (!images_of[at.name].emplace(std::max<int64_t>(at.channel, 0), path).second)
      problems.add("two images for case ", at.name, " in ", images.string());
  }
  std::vector<Case> cases;
  for (const auto& [id, by_channel] : images_of) {
    const auto label = label_of.find(id);
    if (label == label_of.end()) {
      problems.add("case ", id, " has no labels in ", labels.string(), " (image ", by_channel.begin()->second,
                   ")");
      continue;
    }
    Case one{id, {}, label->second, ""};
    for (const auto& [channel, path] : by_channel) {
      if (channel != static_cast<int64_t>(one.images.size()))
        problems.add("case ", id, " lacks channel ", one.images.size());
      one.images.push_back(path);
    }
    check_channels(one, declared, problems);
    cases.push_back(std::move(one));
  }
  for (const auto& [id, path] : label_of)
    if (!images_of.count(id)) problems.add("labels ", path, " have no image in ", images.string());
  return cases;
}

}  // namespace mambaseg
