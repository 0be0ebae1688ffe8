#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "mambaseg/core/geometry.h"
#include "mambaseg/core/progress.h"
#include "mambaseg/data/datasets.h"
#include "mambaseg/data/plan.h"

namespace mambaseg {

/// A case ready for training: prepared by the plan, cut to the box that training looks at (the brain, or the
/// box around the region of an earlier stage), padded with zeros to at least one patch, labels as class
/// numbers.
struct PreparedCase {
  std::string id;
  torch::Tensor image_CIJK;             ///< uint8 with scale 1/255, or float32
  float scale = 1;                      ///< value = stored * scale
  torch::Tensor classes_IJK;            ///< uint8
  std::shared_ptr<const void> storage;  ///< keeps a mapped file alive

  Index3 size() const { return {classes_IJK.size(0), classes_IJK.size(1), classes_IJK.size(2)}; }
};

/// Changes when a setting of the plan changes that the prepared cases depend on.
std::string plan_hash(const Plan& plan);

/// Prepares one case. Throws Error with the case's id in front.
PreparedCase prepare_case(const Case& one, const Plan& plan, const Warn& warn = {});

/// Prepares the cases that `folder` does not hold yet, one file FOLDER/ID.safetensors each, written
/// atomically, so an interrupted call is continued by the next. A file counts as done when its plan hash and
/// the sizes and times of its source files fit. Cases are divided among `threads`. Throws one Error listing
/// every case that failed, after the others are done. Returns how many were prepared now.
int64_t prepare_cases(const std::vector<Case>& cases, const Plan& plan, const std::string& folder,
                      int threads, const Progress& progress = {}, const Warn& warn = {});

/// Reads what prepare_cases wrote; voxels stay in the mapped file until they are touched.
PreparedCase load_prepared(const std::string& folder, const std::string& id);

}  // namespace mambaseg
