#include "mambaseg/infer/pictures.h"

#include <algorithm>
#include <filesystem>
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

/// `numbered`: nnU-Net's names, NAME_0000.png.
PictureFiles in_folder(const std::string& input, const fs::path& folder, bool numbered) {
  const std::string stem = image_stem(input), name = numbered ? numbered_name(stem).name : stem,
                    file = name + ".png";
  return {name, input, (folder / file).string(), (folder / "probability" / file).string(),
          (folder / "overlay" / file).string()};
}

PictureFiles as_file(const std::string& input, const std::string& output) {
  const std::string start = output.substr(0, output.size() - 4);
  return {image_stem(input), input, output, start + "_probability.png", start + "_overlay.png"};
}

}  // namespace

std::vector<PictureFiles> find_pictures(const std::string& input, const std::string& output,
                                        const std::vector<std::string>& only, const Warn& warn) {
  require(fs::exists(input), input, ": no such file or folder");
  if (!fs::is_directory(input)) {
    if (names_file(output, fs::path(output).extension() == ".png", ".png")) return {as_file(input, output)};
    return {in_folder(input, output, numbers_are_channels({image_stem(input)}, 1))};
  }
  if (is_picture_name(output))
    throw UsageError(output + ": expected a folder, as the input is a folder of pictures");
  std::set<std::string> wanted(only.begin(), only.end());
  std::vector<PictureFiles> found;
  std::vector<std::string> paths, stems;
  std::vector<std::string> others;  // that a person would take for pictures too
  for (const auto& entry : fs::directory_iterator(input)) {
    const std::string path = entry.path().string();
    if (entry.is_directory() || entry.path().filename().string().starts_with(".")) continue;
    if (!is_picture_name(path)) {
      if (is_other_picture_name(path)) others.push_back(entry.path().filename().string());
      continue;
    }
    paths.push_back(path);
    stems.push_back(image_stem(path));
  }
  const bool numbered = numbers_are_channels(stems, 1);
  for (const std::string& path : paths) {
    PictureFiles files = in_folder(path, output, numbered);
    if (only.empty() || wanted.erase(files.name)) found.push_back(std::move(files));
  }
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
    require(found[i].name != found[i - 1].name, input, ": ", found[i - 1].input, " and ", found[i].input,
            " would have masks of one name");
  return found;
}

}  // namespace mambaseg
