#include "mambaseg/infer/cases.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "mambaseg/core/error.h"
#include "mambaseg/io/image.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

/// The skull-stripped image of a FreeSurfer subject folder, or nothing.
std::optional<std::string> subject_image(const fs::path& folder) {
  for (const char* name : {"mri/brainmask.mgz", "mri/norm.mgz"})
    if (fs::is_regular_file(folder / name)) return (folder / name).string();
  return std::nullopt;
}

/// The name of a case without nnU-Net's channel ending _0000. Further channels are refused by their caller.
std::string case_name(const std::string& stem) {
  const auto ends_with = [&](const char* ending) {
    return stem.size() > 5 && stem.compare(stem.size() - 5, 5, ending) == 0;
  };
  require(!ends_with("_0001"), stem, ": expected one channel for each case, but there is a channel _0001");
  return ends_with("_0000") ? stem.substr(0, stem.size() - 5) : stem;
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
  const auto add = [&](const std::string& name, const std::string& path) {
    cases.push_back(
        {name, path, (out / (name + ".nii.gz")).string(), (out / "stage2" / (name + ".nii.gz")).string()});
  };
  const auto add_alone = [&](const std::string& path) {
    if (!is_image_name(output))
      throw UsageError(output + ": expected the name of an image file, for example labels.nii.gz");
    cases.push_back({case_name(image_stem(input)), path, output, second_name(output)});
  };
  if (!fs::is_directory(in)) {
    if (is_image_name(output))
      add_alone(input);
    else
      add(case_name(image_stem(input)), input);
    return cases;
  }
  if (const auto image = subject_image(in)) {
    const fs::path subject = fs::weakly_canonical(in);
    if (is_image_name(output))
      add_alone(*image);
    else
      add(subject.filename().string(), *image);
    return cases;
  }
  for (const auto& entry : fs::directory_iterator(in)) {
    const std::string path = entry.path().string();
    if (entry.is_directory()) {
      if (const auto image = subject_image(entry.path())) add(entry.path().filename().string(), *image);
    } else if (is_image_name(path)) {
      add(case_name(image_stem(path)), path);
    }
  }
  if (cases.empty()) {  // perhaps a DICOM series, which read_image takes as a folder
    require(is_image_name(output) && !fs::is_empty(in), input, ": no images in this folder");
    add_alone(input);
  }
  if (is_image_name(output) && cases.front().output != output)
    throw UsageError(output + ": expected a folder, as the input is a folder of images");
  std::sort(cases.begin(), cases.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t c = 1; c < cases.size(); ++c)
    require(cases[c].name != cases[c - 1].name, input, ": ", cases[c - 1].input, " and ", cases[c].input,
            " are one case by name");
  return cases;
}

}  // namespace mambaseg
