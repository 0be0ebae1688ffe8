#include "mambaseg/infer/cases.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/outputs.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// The skull-stripped image of a FreeSurfer subject folder, or nothing.
std::optional<std::string> subject_image(const fs::path& folder) {
  for (const char* name : {"mri/brainmask.mgz", "mri/norm.mgz"})
    if (fs::is_regular_file(folder / name)) return (folder / name).string();
  return std::nullopt;
}

/// The name of a case without nnU-Net's channel ending, and the channel: "x" and 1 for "x_0001", 0 without
/// one.
std::pair<std::string, size_t> case_and_channel(const std::string& stem) {
  const size_t n = stem.size();
  const bool numbered = n > 5 && stem[n - 5] == '_' &&
                        std::all_of(stem.end() - 4, stem.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!numbered) return {stem, 0};
  return {stem.substr(0, n - 5), static_cast<size_t>(std::stoi(stem.substr(n - 4)))};
}

/// "x_stage2.nii.gz" for "x.nii.gz"
std::string second_name(const std::string& output) {
  const std::string stem = image_stem(output);
  const fs::path path(output);
  const std::string ending = path.filename().string().substr(stem.size());
  return (path.parent_path() / (stem + "_stage2" + ending)).string();
}

}  // namespace

std::vector<PredictionCase> find_cases(const std::string& input, const std::string& output) {
  const fs::path in(input), out(output);
  require(fs::exists(in), input, ": no such file or folder");
  std::vector<PredictionCase> cases;
  const auto add = [&](const std::string& name, std::vector<std::string> paths) {
    cases.push_back({name, std::move(paths), (out / (name + ".nii.gz")).string(),
                     (out / "stage2" / (name + ".nii.gz")).string()});
  };
  const auto add_alone = [&](const std::string& path) {
    if (!is_image_name(output))
      throw UsageError(output + ": expected the name of an image file, for example labels.nii.gz");
    cases.push_back({case_and_channel(image_stem(input)).first, {path}, output, second_name(output)});
  };
  if (!fs::is_directory(in)) {
    if (names_volume_file(output))
      add_alone(input);
    else
      add(case_and_channel(image_stem(input)).first, {input});
    return cases;
  }
  if (const auto image = subject_image(in)) {
    const fs::path subject = fs::weakly_canonical(in);
    if (names_volume_file(output))
      add_alone(*image);
    else
      add(subject.filename().string(), {*image});
    return cases;
  }
  std::map<std::string, std::map<size_t, std::string>> channels_of;
  for (const auto& entry : fs::directory_iterator(in)) {
    const std::string path = entry.path().string();
    if (entry.is_directory()) {
      if (const auto image = subject_image(entry.path())) add(entry.path().filename().string(), {*image});
    } else if (is_image_name(path)) {
      const auto [name, channel] = case_and_channel(image_stem(path));
      const auto [place, is_new] = channels_of[name].emplace(channel, path);
      require(is_new, input, ": ", place->second, " and ", path, " are one case by name");
    }
  }
  for (const auto& [name, channels] : channels_of) {
    std::vector<std::string> paths;
    for (const auto& [channel, path] : channels) {
      require(channel == paths.size(), input, ": case ", name, " lacks channel ", paths.size());
      paths.push_back(path);
    }
    add(name, std::move(paths));
  }
  if (cases.empty()) {  // perhaps a DICOM series, which read_image takes as a folder
    require(is_image_name(output) && !fs::is_empty(in), input, ": no images in this folder");
    add_alone(input);
  }
  if (is_image_name(output) && cases.front().output != output)
    throw UsageError(output + ": expected a folder, as the input is a folder of images");
  std::sort(cases.begin(), cases.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t c = 1; c < cases.size(); ++c)
    require(cases[c].name != cases[c - 1].name, input, ": ", cases[c - 1].inputs[0], " and ",
            cases[c].inputs[0], " are one case by name");
  return cases;
}

}  // namespace mambaseg
