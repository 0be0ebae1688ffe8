#pragma once

#include <string>
#include <vector>

#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/planes.h"
#include "mambaseg/infer/precision.h"
#include "mambaseg/infer/sliding_window.h"
#include "mambaseg/nets/model/checkpoint.h"

namespace mambaseg {

/// Channels of the images that a model reads: those of its network, but for slices, which are channels there.
int64_t image_channels(const ModelInfo& info);

/// Where and in which type scores are summed up.
struct SumsOfScores {
  torch::Device device = torch::kCPU;
  torch::ScalarType type = torch::kFloat32;
};

/// Networks that see the slices of a plane (Plan::plane), of one plane or several. The scores of the networks
/// of one plane are averaged, those of the planes summed with Plan::plane_weights before the softmax.
class PlaneModels {
 public:
  /// `plan` is that of the models that do not have one themselves. Of `window` patch, step and spread are the
  /// plan's, classes its vote maps. Throws UsageError where a network does not fit its plan.
  PlaneModels(const std::vector<Model>& models, const Plan& plan, const SlidingWindow& window);

  /// Maps of scores that are summed up.
  int64_t score_maps() const { return maps_; }
  /// "axial", ..., in the order in which their models were given.
  std::vector<std::string> names() const;

  /// Votes (LabelScheme) of every voxel of a volume (C, i, j, k) with voxels of `spacing_mm`, from its last
  /// axis' first slice to its last.
  void vote(const torch::Tensor& volume_CIJK, const Vector3& spacing_mm, Precision precision,
            const SumsOfScores& sums, const SlabVotes::Release& release, const Progress& progress = {}) const;

  /// Votes (K, rows, columns) of the slice in the middle of the first plane.
  torch::Tensor middle(const torch::Tensor& volume_CIJK, const Vector3& spacing_mm,
                       Precision precision) const;

  /// Passes through a network for a volume of `size`, and the bytes that the passes and the sums take, the
  /// networks' own activations left out.
  int64_t patch_count(const Index3& size) const;
  int64_t pass_bytes(const Index3& size) const;
  int64_t sum_bytes(const Index3& size, torch::ScalarType type) const;

 private:
  struct PlaneNetworks {
    Plan plan;
    PlaneAxes axes;
    std::vector<int64_t> merged;
    SlidingWindow window;
    std::vector<std::shared_ptr<Network>> networks;
  };
  static torch::Tensor scores(const PlaneNetworks& plane, const torch::Tensor& x_BCYX,
                              const Vector3& spacing_mm, Precision precision);

  LabelScheme scheme_;
  int64_t maps_ = 0;  ///< of scores, when sides are told apart
  int64_t channels_ = 1;
  std::vector<PlaneNetworks> planes_;
};

}  // namespace mambaseg
