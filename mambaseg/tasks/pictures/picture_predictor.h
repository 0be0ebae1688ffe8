#pragma once

#include <string>
#include <vector>

#include "mambaseg/infer/precision.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/nets/model/checkpoint.h"
#include "mambaseg/tasks/pictures/picture_labels.h"

namespace mambaseg {

/// The files of one picture: one in most cases.
using PictureChannels = std::vector<Picture>;

/// One model of pictures, or the mean of several of the same plan.
class PicturePredictor {
 public:
  /// Throws UsageError when the plan and the networks do not fit each other.
  PicturePredictor(std::vector<Model> models, PicturePlan plan, torch::Device device,
                   Precision precision = Precision::fp32);

  /// Reads model files; several form an ensemble. `quarter_from` as load_ensemble has it.
  static PicturePredictor load(const std::vector<std::string>& paths, torch::Device device,
                               Precision precision = Precision::fp32, int64_t quarter_from = 0);

  int64_t files() const { return plan_.files; }  ///< of a picture
  const PictureLabels& labels() const { return labels_; }
  /// Throws Error when the network cannot take the files of this picture (network_input).
  void check(const PictureChannels& picture) const;

  /// Turns `automatic` into one of the others, tried on these pictures, and returns a line for people; empty
  /// when the precision stands already.
  std::string settle_precision(const std::vector<PictureChannels>& pictures);

  /// PictureLabels::votes for each pixel of each picture, (maps, Y, X) float32 at the picture's own size; the
  /// pictures go through the network together. Resized from the network's size as probabilities.
  std::vector<torch::Tensor> votes(const std::vector<PictureChannels>& pictures) const;

 private:
  std::vector<Model> models_;
  PicturePlan plan_;
  PictureLabels labels_;
  torch::Device device_;
  Precision precision_;
};

/// A map (Y, X) of 0..1 as a grey picture of 0..255.
Picture grey_picture(const torch::Tensor& map_YX);

}  // namespace mambaseg
