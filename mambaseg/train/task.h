#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/sample_source.h"
#include "mambaseg/losses/loss.h"
#include "mambaseg/nets/model/network.h"
#include "mambaseg/train/run.h"

namespace mambaseg {

/// What the trainer has to know of the kind of images that a recipe is about.
struct Task {
  Json plan;                                     ///< kept in the model
  std::vector<std::string> structures;           ///< names of what is learned
  std::vector<std::vector<int64_t>> classes_of;  ///< the class numbers that form each structure (LabelScheme)
  bool regions = false;                          ///< structures may overlap
  bool ignores = false;                          ///< labels may be kIgnoredClass
  Json network;                      ///< the settings of the network that the plan decides, as "classes"
  std::vector<int64_t> input_edges;  ///< of what goes through the network while training
  Preparation preparation;
  std::function<std::unique_ptr<SampleSource>(const PreparedCase&)> sampler;
  /// Class numbers of a whole prepared case, uint8, by a network in evaluation mode.
  std::function<torch::Tensor(Network&, const PreparedCase&, torch::Device)> predict;
};

/// The task of a recipe. UsageError when the settings of its plan do not fit each other.
Task task_of(const RunSettings& settings);

/// What a loss may want to know. `class_voxels`: of background and of each structure.
LossData loss_data(const Task& task, std::vector<double> class_voxels = {});

Task volumes_task(const RunSettings& settings);
Task pictures_task(const RunSettings& settings);

}  // namespace mambaseg
