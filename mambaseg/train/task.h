#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/data/case_cache.h"
#include "mambaseg/data/sample_source.h"
#include "mambaseg/nets/network.h"
#include "mambaseg/train/run.h"

namespace mambaseg {

/// What the trainer has to know of the kind of images that a recipe is about.
struct Task {
  Json plan;                         ///< kept in the model
  std::vector<std::string> classes;  ///< names of class 1, 2, ...
  Json network;                      ///< the settings of the network that the plan decides, as "classes"
  std::vector<int64_t> input_edges;  ///< of what goes through the network while training
  Preparation preparation;
  std::function<std::unique_ptr<SampleSource>(const PreparedCase&)> sampler;
  /// Class numbers of a whole prepared case, uint8, by a network in evaluation mode.
  std::function<torch::Tensor(Network&, const PreparedCase&, torch::Device)> predict;
};

/// The task of a recipe. UsageError when the settings of its plan do not fit each other.
Task task_of(const RunSettings& settings);

Task volumes_task(const RunSettings& settings);
Task pictures_task(const RunSettings& settings);

}  // namespace mambaseg
