#include "mambaseg/report/case_pictures.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/data/interpolate.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/image_folder.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/report/files.h"
#include "mambaseg/report/overlay.h"
#include "mambaseg/report/page_parts.h"

namespace mambaseg {
namespace {

namespace fs = std::filesystem;

std::string caption_of(const Evaluation& evaluation, size_t c, const char* which) {
  std::string caption = concat(which, ": ", evaluation.cases[c].files.name);
  for (const char* name : {"Dice", "HD95", "ASSD"})
    if (const auto m = metric_position(evaluation, name)) {
      const std::string value = short_number(case_mean(evaluation, *m, c), 3);
      if (!value.empty())
        caption += concat(", ", name, " ", value, evaluation.metrics[*m]->unit.empty() ? "" : " ",
                          evaluation.metrics[*m]->unit);
    }
  return caption;
}

/// What is drawn is what is scored: other labels become background.
void keep_scored(Volume<int32_t>& labels, const LabelTable& scored) {
  for (int32_t& label : labels.voxels)
    if (label != 0 && (label == scored.ignore || !scored.knows(label))) label = 0;
}

/// Labels that share out the colours, ascending; of regions all that belong to one.
std::vector<int32_t> drawn_labels(const Evaluation& evaluation, const LabelTable& scored) {
  std::set<int32_t> all;
  for (const LabelEntry& entry : evaluation.labels)
    if (scored.regions)
      all.insert(entry.also.begin(), entry.also.end());
    else
      all.insert(entry.id);
  return {all.begin(), all.end()};
}

/// A picture as an image of one slice.
Volume<float> grey_volume(const Picture& picture) {
  Geometry geometry;
  geometry.size = {picture.width, picture.height, 1};
  Volume<float> volume(geometry);
  const Picture grey = to_grey(picture);
  std::copy(grey.values.begin(), grey.values.end(), volume.voxels.begin());
  return volume;
}

}  // namespace

std::string image_of_case(const std::string& folder, const std::string& case_name) {
  if (folder.empty()) return "";
  for (const std::string& path : image_files(folder, FolderOf::kImages)) {
    const std::string stem = image_stem(path);
    if (stem == case_name || stem == case_name + "_0000") return path;
  }
  return "";
}

std::vector<CasePicture> write_case_pictures(const Evaluation& evaluation, const EvaluationOptions& given,
                                             const std::string& images, const std::string& folder,
                                             size_t count, const Warn& warn) {
  EvaluationOptions options = given;
  options.masks = evaluation.masks;
  const std::vector<size_t> order = cases_from_worst(evaluation);
  std::vector<std::pair<size_t, const char*>> chosen;
  const size_t worst = std::min(count, (order.size() + 1) / 2);
  for (size_t i = 0; i < worst; ++i) chosen.emplace_back(order[i], "Worst");
  for (size_t i = std::max(worst, order.size() - std::min(count, order.size())); i < order.size(); ++i)
    chosen.emplace_back(order[i], "Best");
  std::vector<CasePicture> pictures;
  if (chosen.empty()) return pictures;
  make_folder(folder);
  for (const auto& [c, which] : chosen) {
    const CasePair& files = evaluation.cases[c].files;
    Volume<int32_t> reference = read_scored_labels(files.reference, options);
    Volume<int32_t> prediction = read_scored_labels(files.prediction, options);
    if (!same_grid(reference.geometry, prediction.geometry)) {
      if (options.resample) prediction = resample_labels(prediction, reference.geometry);
      prediction.geometry = reference.geometry;  // differs by rounding only, or the case would not be scored
    }
    if (!options.labels.entries.empty())
      for (auto* labels : {&reference, &prediction}) keep_scored(*labels, options.labels);
    OverlayStyle style;
    style.labels = drawn_labels(evaluation, options.labels);
    Volume<float> image(reference.geometry);
    if (const std::string path = files.image.empty() ? image_of_case(images, files.name) : files.image;
        !path.empty()) {
      Volume<float> found = is_picture_name(path) ? grey_volume(read_picture(path)) : read_volume(path, warn);
      if (found.geometry.size == reference.geometry.size) {
        image.voxels = std::move(found.voxels);
      } else if (warn) {
        warn(concat(path, ": another grid than the labels, drawn without image"));
      }
    } else if (!images.empty() && warn) {
      warn(concat(images, ": no image of case ", files.name));
    }
    if (is_picture_name(files.reference)) {  // rows and columns are those of the file
      Affine& affine = image.geometry.voxel_to_ras_mm;
      affine = {};
      affine.matrix[0][0] = affine.matrix[1][1] = -1;
      reference.geometry = prediction.geometry = image.geometry;
      style.letters = false;
      style.crop = false;
    }
    const std::vector<OverlayRow> rows{{"reference", &reference}, {"prediction", &prediction}};
    const std::string path = (fs::path(folder) / (files.name + ".png")).string();
    write_three_planes(path, image, rows, {}, style);
    pictures.push_back({path, caption_of(evaluation, c, which)});
  }
  return pictures;
}

}  // namespace mambaseg
