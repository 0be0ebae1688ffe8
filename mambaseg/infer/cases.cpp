#include "mambaseg/infer/cases.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "mambaseg/core/error.h"
#include "mambaseg/data/case_names.h"
#include "mambaseg/data/problems.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/image_folder.h"
#include "mambaseg/io/outputs.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// The skull-stripped image of a FreeSurfer subject folder, or nothing.
std::optional<std::string> subject_image(const fs::path& folder) {
  std::error_code failed;
  for (const char* name : {"mri/brainmask.mgz", "mri/norm.mgz"})
    if (fs::is_regular_file(folder / name, failed)) return (folder / name).string();
  return std::nullopt;
}

/// The case that one file stands for.
std::string name_of(const std::string& path, int64_t channels) {
  const std::string stem = image_stem(path);
  return numbers_are_channels({stem}, channels) ? numbered_name(stem).name : stem;
}

/// The names of cases that image files stand for, each with its files in the order of the channels.
std::map<std::string, std::vector<std::string>> grouped(const std::vector<std::string>& files,
                                                        int64_t channels, const std::string& input) {
  std::vector<std::string> stems;
  for (const std::string& path : files) stems.push_back(image_stem(path));
  const bool numbered = numbers_are_channels(stems, channels);
  Problems problems;
  std::map<std::string, std::map<int64_t, std::string>> found;
  for (size_t f = 0; f < files.size(); ++f) {
    const NumberedName at = numbered ? numbered_name(stems[f]) : NumberedName{stems[f]};
    const auto [place, fresh] = found[at.name].emplace(std::max<int64_t>(at.channel, 0), files[f]);
    if (!fresh) problems.add(place->second, " and ", files[f], " are one case by name");
  }
  std::map<std::string, std::vector<std::string>> cases;
  for (const auto& [name, by_channel] : found) {
    for (const auto& [channel, path] : by_channel) {
      if (channel != static_cast<int64_t>(cases[name].size()))
        problems.add("case ", name, " lacks channel ", cases[name].size(), " (the model reads ", channels,
                     ", as ", name, "_0000, ", name, "_0001)");
      cases[name].push_back(path);
    }
  }
  problems.raise(input);
  return cases;
}

/// "x_stage2.nii.gz" for "x.nii.gz"
std::string second_name(const std::string& output) {
  const std::string stem = image_stem(output);
  const fs::path path(output);
  const std::string ending = path.filename().string().substr(stem.size());
  return (path.parent_path() / (stem + "_stage2" + ending)).string();
}

PredictionCase case_in(const fs::path& folder, const std::string& name, std::vector<std::string> paths) {
  return {name, std::move(paths), (folder / (name + ".nii.gz")).string(),
          (folder / "stage2" / (name + ".nii.gz")).string()};
}

}  // namespace

std::vector<PredictionCase> cases_of(const std::vector<Case>& dataset, const std::string& output) {
  std::vector<PredictionCase> cases;
  for (const Case& one : dataset) cases.push_back(case_in(output, one.id, one.images));
  return cases;
}

std::vector<PredictionCase> find_cases(const std::string& input, const std::string& output,
                                       int64_t channels) {
  const fs::path in(input), out(output);
  require(fs::exists(in), input, ": no such file or folder");
  std::vector<PredictionCase> cases;
  const auto add = [&](const std::string& name, std::vector<std::string> paths) {
    cases.push_back(case_in(out, name, std::move(paths)));
  };
  const auto add_alone = [&](const std::string& path) {
    if (!is_image_name(output))
      throw UsageError(output + ": expected the name of an image file, for example labels.nii.gz");
    cases.push_back({name_of(input, channels), {path}, output, second_name(output)});
  };
  if (!fs::is_directory(in)) {
    if (names_volume_file(output))
      add_alone(input);
    else
      add(name_of(input, channels), {input});
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
  for (const auto& entry : fs::directory_iterator(in)) {
    const std::string path = entry.path().string(), name = entry.path().filename().string();
    if (is_freesurfer_template(name) || name.starts_with(".")) continue;
    if (is_dangling_link(path) && !is_volume_name(path))
      add(name, {path});  // perhaps a subject: reading it tells where the link leads
    else if (const auto image = subject_image(entry.path()))
      add(name, {*image});
    else if (std::error_code failed; fs::is_directory(entry.path() / "mri", failed))
      add(name, {path + "/mri/norm.mgz"});  // a subject without it: reading it tells
  }
  std::vector<std::string> files = image_files(input, FolderOf::kImages);
  std::erase_if(files, [](const std::string& path) { return !is_volume_name(path); });
  for (const auto& [name, paths] : grouped(files, channels, input)) add(name, paths);
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
