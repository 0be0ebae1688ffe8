#pragma once

#include "mambaseg/losses/loss.h"

namespace mambaseg {

/// Cross-entropy of softmax with class weights w: sum over voxels of -w_y log p_y / sum of w_y.
struct CrossEntropySettings {
  std::string weighting = "none";
  std::vector<double> weights;
  void describe(SettingsVisitor& visit) {
    visit("weighting", weighting,
          "none; median_frequency: median voxel share of the classes / share of the class, counted over the "
          "training "
          "cases; given: the list `weights`",
          one_of({"none", "median_frequency", "given"}));
    visit("weights", weights, "one weight a class, background first", at_least(0));
  }
};

/// Weights by median frequency (Eigen & Fergus 2015): median of the non-zero counts / count; 0 for a class
/// without voxels. Throws Error when all counts are 0.
std::vector<double> median_frequency_weights(const std::vector<double>& class_voxels);

/// The weight tensor (K), double, or an undefined one without weighting. UsageError when the counts or the
/// list are missing.
torch::Tensor class_weights(const CrossEntropySettings& settings, const LossData& data);

/// `weights_K` may be undefined. 0 when no voxel has a weight.
torch::Tensor weighted_cross_entropy(const torch::Tensor& scores, const torch::Tensor& classes,
                                     const torch::Tensor& weights_K);

extern const LossEntry cross_entropy_entry;

}  // namespace mambaseg
