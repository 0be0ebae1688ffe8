#include "mambaseg/io/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "mambaseg/core/text.h"
#include "mambaseg/io/formats.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

constexpr char kSlicerSegmentation[] = ".seg.nrrd";

/// Drops every file NAME`dropped` that has a NAME`kept` beside it.
void drop_twins(std::vector<std::string>& files, const std::string& dropped, const std::string& kept) {
  std::set<std::string> names;
  for (const std::string& path : files) names.insert(lower_case(path));
  std::erase_if(files, [&](const std::string& path) {
    const std::string name = lower_case(path);
    return name.ends_with(dropped) && !name.ends_with(kept) &&
           names.count(name.substr(0, name.size() - dropped.size()) + kept) > 0;
  });
}

}  // namespace

bool is_volume_name(const std::string& path) {
  const ImageFormat* format = format_of_name(path);
  return format != nullptr && format->read != nullptr && format->read != read_dicom && !is_picture_name(path);
}

bool is_dangling_link(const std::string& path) {
  std::error_code failed;
  return fs::is_symlink(fs::symlink_status(path, failed)) && !fs::exists(path, failed);
}

std::vector<std::string> image_files(const std::string& folder, FolderOf what) {
  std::vector<std::string> volumes, pictures;
  std::error_code failed;
  if (!fs::is_directory(folder, failed)) return volumes;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (entry.path().filename().string().starts_with(".") || entry.is_directory(failed)) continue;
    if (what == FolderOf::kImages && lower_case(path).ends_with(kSlicerSegmentation)) continue;
    if (is_volume_name(path)) volumes.push_back(path);
    if (is_picture_name(path)) pictures.push_back(path);
  }
  for (const std::string header : {".hdr", ".hdr.gz"})
    for (const std::string voxels : {".img", ".img.gz"}) drop_twins(volumes, voxels, header);
  drop_twins(volumes, ".nrrd", kSlicerSegmentation);
  std::vector<std::string>& files = volumes.empty() ? pictures : volumes;
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace mambaseg
