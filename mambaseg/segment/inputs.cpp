#include "mambaseg/segment/inputs.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "mambaseg/core/error.h"
#include "mambaseg/infer/cases.h"
#include "mambaseg/io/dicom_outline.h"
#include "mambaseg/io/image_folder.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/tasks/pictures/picture_files.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAnyFolder = "output/";  // only names are wanted here

bool holds_pictures(const std::string& folder) {
  const std::vector<std::string> files = image_files(folder, FolderOf::kImages);
  return !files.empty() && is_picture_name(files.front());
}

/// A folder, or one below it, holds a DICOM file, and it holds no image files of its own.
bool is_dicom_folder(const std::string& folder) {
  if (!image_files(folder, FolderOf::kImages).empty()) return false;
  const auto options = fs::directory_options::skip_permission_denied;
  for (const auto& entry : fs::recursive_directory_iterator(folder, options)) {
    std::error_code failed;
    if (entry.is_regular_file(failed) && dicom_start(entry.path().string())) return true;
  }
  return false;
}

std::string folder_name(const std::string& folder) {
  return fs::weakly_canonical(folder).filename().string();
}

/// A file that only its content may tell: pictures by name, all else is a volume.
std::string task_of_input(const std::string& input) {
  const bool pictures = fs::is_directory(input) ? holds_pictures(input) : is_picture_name(input);
  return pictures ? "pictures" : "volumes";
}

std::vector<ImageToSegment> images_of(const std::string& input, const std::string& task, const Warn& warn) {
  std::vector<ImageToSegment> images;
  if (task == "pictures") {
    for (const PictureFiles& one : find_pictures(input, kAnyFolder, {}, warn))
      images.push_back({one.name, one.inputs[0]});
  } else if (fs::is_directory(input) && is_dicom_folder(input)) {
    images.push_back({folder_name(input), input});
  } else {
    for (const PredictionCase& one : find_cases(input, kAnyFolder))
      images.push_back({one.name, one.inputs[0]});
  }
  return images;
}

}  // namespace

ImagesToSegment find_images(const std::vector<std::string>& inputs, const Warn& warn) {
  ImagesToSegment found;
  std::map<std::string, std::string> by_name;
  std::string first_input;
  for (const std::string& input : inputs) {
    require(fs::exists(input), input, ": no such file or folder");
    const std::string task = task_of_input(input);
    if (found.task.empty()) found.task = task, first_input = input;
    if (task != found.task)
      throw UsageError(concat(first_input, " holds ", found.task, " and ", input, " ", task,
                              ": segment them in two calls"));
    for (ImageToSegment& one : images_of(input, task, warn)) {
      const auto [place, fresh] = by_name.emplace(one.name, one.path);
      require(fresh, place->second, " and ", one.path, " are one image by name (", one.name,
              "): segment them into two folders");
      found.images.push_back(std::move(one));
    }
  }
  return found;
}

}  // namespace mambaseg
