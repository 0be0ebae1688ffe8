#pragma once

#include <string>
#include <vector>

#include "mambaseg/infer/precision.h"

namespace mambaseg {

struct PredictPicturesOptions {
  std::vector<std::string> models;
  std::string input, output;
  std::string split;  ///< file of a run; only its test pictures
  int64_t batch = 1;
  bool probability = false, overlay = false, resume = false;
  torch::Device device = torch::kCPU;
  Precision precision = Precision::fp32;
};

/// `predict` for models of pictures.
void predict_pictures(const PredictPicturesOptions& options);

}  // namespace mambaseg
