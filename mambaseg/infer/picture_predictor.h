#pragma once

#include <string>
#include <vector>

#include "mambaseg/data/picture_plan.h"
#include "mambaseg/infer/precision.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/nets/model/checkpoint.h"

namespace mambaseg {

/// True for a model that was made for pictures (its plan is a PicturePlan).
bool is_picture_model(const ModelInfo& info);

/// One model of pictures, or the mean of several of the same plan.
class PicturePredictor {
 public:
  /// Throws UsageError when the plan and the networks do not fit each other.
  PicturePredictor(std::vector<Model> models, PicturePlan plan, torch::Device device,
                   Precision precision = Precision::fp32);

  /// Reads model files; several form an ensemble.
  static PicturePredictor load(const std::vector<std::string>& paths, torch::Device device,
                               Precision precision = Precision::fp32);

  const PicturePlan& plan() const { return plan_; }

  /// Turns `automatic` into fp32 or bf16, tried on these pictures, and returns a line for people; empty when
  /// the precision stands already.
  std::string settle_precision(const std::vector<Picture>& pictures);

  /// The probability of the structure at each pixel of each picture, (Y, X) float32 at the picture's own
  /// size; the pictures go through the network together. Resized from the network's size as probabilities.
  std::vector<torch::Tensor> probabilities(const std::vector<Picture>& pictures) const;

 private:
  std::vector<Model> models_;
  PicturePlan plan_;
  torch::Device device_;
  Precision precision_;
};

/// A map (Y, X) of 0..1 as a grey picture of 0..255.
Picture grey_picture(const torch::Tensor& map_YX);

}  // namespace mambaseg
