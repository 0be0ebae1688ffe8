#include "mambaseg/tasks/pictures/picture_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/core/text.h"
#include "mambaseg/data/case_names.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/outputs.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

PictureFiles in_folder(const std::string& name, std::vector<std::string> inputs, const fs::path& folder) {
  const std::string file = name + ".png";
  return {name, std::move(inputs), (folder / file).string(), (folder / "probability" / file).string(),
          (folder / "overlay" / file).string()};
}

PictureFiles as_file(const std::string& input, const std::string& output) {
  const std::string start = output.substr(0, output.size() - 4);
  return {image_stem(input), {input}, output, start + "_probability.png", start + "_overlay.png"};
}

using Groups = std::vector<std::pair<std::string, std::vector<std::string>>>;  ///< name, files

/// The pictures of files: each for itself, or so many together.
Groups grouped(const std::vector<std::string>& paths, int64_t files) {
  std::vector<std::string> stems;
  for (const std::string& path : paths) stems.push_back(image_stem(path));
  const bool numbered = files > 1 || numbers_are_channels(stems, 1);
  std::map<std::string, std::map<int64_t, std::string>> by_name;
  Groups groups;
  for (size_t i = 0; i < paths.size(); ++i) {
    const NumberedName name = numbered_name(stems[i]);
    if (files > 1)
      by_name[name.name][name.channel] = paths[i];
    else
      groups.push_back({numbered ? name.name : stems[i], {paths[i]}});
  }
  for (const auto& [name, numbers] : by_name) {
    groups.push_back({name, {}});
    for (const auto& [number, path] : numbers) groups.back().second.push_back(path);
  }
  return groups;
}

}  // namespace

std::string PictureFiles::probability_of(int64_t k, size_t maps) const {
  if (maps == 1) return probability;
  return concat(probability.substr(0, probability.size() - 4), "_class", k, ".png");
}

std::vector<PictureFiles> pictures_of(const std::vector<Case>& dataset, const std::string& output) {
  std::vector<PictureFiles> pictures;
  for (const Case& one : dataset) pictures.push_back(in_folder(one.id, one.images, output));
  return pictures;
}

std::vector<PictureFiles> find_pictures(const std::string& input, const std::string& output,
                                        const std::vector<std::string>& only, const Warn& warn,
                                        int64_t files) {
  require(fs::exists(input), input, ": no such file or folder");
  if (!fs::is_directory(input)) {
    if (names_file(output, fs::path(output).extension() == ".png", ".png")) return {as_file(input, output)};
    const auto [name, inputs] = grouped({input}, files).front();
    return {in_folder(name, inputs, output)};
  }
  if (is_picture_name(output))
    throw UsageError(output + ": expected a folder, as the input is a folder of pictures");
  std::set<std::string> wanted(only.begin(), only.end());
  std::vector<PictureFiles> found;
  std::vector<std::string> paths;
  std::vector<std::string> others;  // that a person would take for pictures too
  for (const auto& entry : fs::directory_iterator(input)) {
    const std::string path = entry.path().string();
    if (entry.is_directory() || entry.path().filename().string().starts_with(".")) continue;
    if (!is_picture_name(path)) {
      if (is_other_picture_name(path)) others.push_back(entry.path().filename().string());
      continue;
    }
    paths.push_back(path);
  }
  for (const auto& [name, inputs] : grouped(paths, files))
    if (only.empty() || wanted.erase(name)) found.push_back(in_folder(name, inputs, output));
  require(wanted.empty(), input, ": no picture is called ", wanted.empty() ? "" : *wanted.begin(),
          wanted.size() > 1 ? concat(", nor ", wanted.size() - 1, " others") : "");
  std::sort(others.begin(), others.end());
  const std::string left_out = others.empty() ? ""
                                              : concat(others.size(), " of other formats (", others.front(),
                                                       others.size() > 1 ? ", ...)" : ")");
  require(!found.empty(), input, ": no pictures (PNG, JPEG, BMP) in this folder",
          others.empty() ? "" : ", but " + left_out + "; save them as PNG");
  if (warn && !others.empty())
    warn(concat(input, ": ", left_out, others.size() > 1 ? " are" : " is",
                " left out; PNG, JPEG and BMP are read, so save them as PNG"));
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t i = 1; i < found.size(); ++i)
    require(found[i].name != found[i - 1].name, input, ": ", found[i - 1].inputs[0], " and ",
            found[i].inputs[0], " would have masks of one name");
  return found;
}

}  // namespace mambaseg
