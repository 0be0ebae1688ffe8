#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/config/config.h"
#include "mambaseg/core/geometry.h"
#include "mambaseg/core/progress.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/data/datasets.h"

namespace mambaseg {

/// What was noticed while a case was made ready.
struct CaseNotes {
  std::string id;
  std::string content{};                  ///< changes with the prepared image
  std::vector<int64_t> unnamed_labels{};  ///< numbers in the label file that belong to no class
};

/// A case ready for training (volume_case.h, picture_case.h), labels as class numbers. A picture has rows and
/// columns in place of three axes.
struct PreparedCase {
  std::string id;
  torch::Tensor image_CIJK;             ///< uint8 with scale 1/255, or float32
  float scale = 1;                      ///< value = stored * scale
  torch::Tensor classes_IJK;            ///< uint8
  std::vector<int64_t> unnamed_labels;  ///< as CaseNotes says
  std::string content;                  ///< changes with the image
  std::string classes_content;          ///< changes with the labels
  Vector3 spacing_mm{1, 1, 1};          ///< of a volume, along its array axes
  bool label_map = false;               ///< the image holds tissues, from which images are drawn
  std::shared_ptr<const void> storage;  ///< keeps a mapped file alive

  /// Of a volume.
  Index3 size() const { return {classes_IJK.size(0), classes_IJK.size(1), classes_IJK.size(2)}; }
};

/// In hexadecimal digits; also changes with the layout of the files of prepared cases.
std::string hash_of_text(const std::string& text);

/// How cases are made ready.
struct Preparation {
  std::string hash;  ///< changes with every setting that prepared cases depend on
  std::function<PreparedCase(const Case& one, const Warn& warn)> prepare;  ///< called from several threads
  std::function<int64_t(const Case& one)> bytes = {};  ///< what that holds at its peak, about; empty: little
};

/// For Preparation::hash: of the values of settings in their order. New names change nothing, a new setting
/// does.
template <class Settings>
std::string settings_hash(Settings settings) {
  return hash_of_text(values_of(settings).dump());
}

/// Prepares the cases that `folder` does not hold yet, one file FOLDER/ID.safetensors each, written
/// atomically, so an interrupted call is continued by the next. A file counts as done when its hash and
/// the sizes and times of its source files fit. As many cases are prepared at a time as `workers` allow.
/// Throws one Error listing every case that failed, after the others are done. Returns how many were prepared
/// now.
int64_t prepare_cases(const std::vector<Case>& cases, const Preparation& preparation,
                      const std::string& folder, const Workers& workers, const Progress& progress = {},
                      const Warn& warn = {});

/// The same for one case. Whether it was prepared now; the folder must be there.
bool prepare_case(const Case& one, const Preparation& preparation, const std::string& folder,
                  const Warn& warn = {});
/// Whether it would have nothing to do; not so where source files are missing.
bool is_prepared(const Case& one, const Preparation& preparation, const std::string& folder);

/// Reads what prepare_cases wrote; voxels stay in the mapped file until they are touched.
PreparedCase load_prepared(const std::string& folder, const std::string& id);

}  // namespace mambaseg
