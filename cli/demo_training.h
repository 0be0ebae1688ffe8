#pragma once

#include <string>
#include <vector>

#include <torch/types.h>

namespace mambaseg {

/// `demo --train`.
struct TrainingDemo {
  std::string folder, templates;
  std::vector<std::string> assignments;  ///< changed settings of the recipe demo
  torch::Device device = torch::kCPU;
};

/// Trains a small MedSegMamba on the left hemisphere of Colin27, segments the right one, scores it beside the
/// trivial answer and draws it into `folder`.
void run_training_demo(const TrainingDemo& options);

}  // namespace mambaseg
