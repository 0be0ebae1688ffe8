#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/core/geometry.h"
#include "mambaseg/core/random.h"
#include "mambaseg/data/plan.h"
#include "mambaseg/data/rotation.h"
#include "mambaseg/data/sample_source.h"
#include "mambaseg/tasks/synthetic/head_looks.h"
#include "mambaseg/tasks/synthetic/smooth_field.h"
#include "mambaseg/tasks/synthetic/synthesis_settings.h"

namespace mambaseg {

/// The label map of a head on the grid of the network.
struct HeadLabelMap {
  torch::Tensor labels_IJK;  ///< uint8, contiguous, index into head_labels; beyond it there is air
  std::string orientation;   ///< of its axes
  double voxel_mm = 1;       ///< edge of its voxels, which are cubes
};

/// Draws magnetic resonance images, and the structures in them, from the label map of a head.
///
/// A sample is what the intensity `robust` of the plan makes of a scan: the head is posed (flipped, turned,
/// scaled, deformed), every tissue is given a brightness, voxels vary about it, a bias field lies over it,
/// voxels of the scanner's size are measured with noise, parts of the head are left away, the result is
/// brought to the grid of the network and rescaled to 0..1 by the range of the whole head. Only the patch and
/// a coarse preview of the head for that range are computed.
class HeadSynthesis {
 public:
  /// Labels of no class of the plan are background. UsageError on settings that do not fit each other.
  HeadSynthesis(const HeadLabelMap& map, const SynthesisSettings& settings, const Plan& plan);

  /// image (1, patch), multiples of 1/255 in 0..1, and classes (patch). The sample depends on `random` only.
  /// Called from several threads.
  Sample draw(Random random) const;

 private:
  /// Place x shows place centre_ + matrix * (x - centre_) + elastic(x) of the label map.
  struct Pose {
    Matrix3 matrix;
    bool flipped = false;
    double displacement = 0;           ///< standard deviation of the elastic part along each axis, voxels
    std::vector<SmoothField> elastic;  ///< three, or none
    double neck_end = 0;               ///< where the image ends, see neck_sign_
  };
  struct Rendered {
    std::vector<float> image;
    std::vector<uint8_t> labels;
  };

  Pose draw_pose(const Lattice& patch, Random& random) const;
  SmoothField field_over(const Lattice& lattice, double spacing_mm, bool and_head, Random& random) const;
  Rendered render(const Lattice& lattice, const Pose& pose, const HeadLooks& looks, const SmoothField& bias,
                  const SmoothField* patches, Random& random) const;
  std::vector<float> mask_of(const std::vector<uint8_t>& labels, const Lattice& lattice,
                             const HeadLooks& looks, Random& random) const;

  HeadLabelMap map_;
  SynthesisSettings settings_;
  std::vector<HeadTissue> tissues_;
  Index3 patch_, whole_;
  int neck_axis_ = 0;
  double neck_sign_ = 1;     ///< 1: the index grows towards the neck; -1: it falls
  double brain_end_ = 0;     ///< neck_sign_ * the slice of the brain that is next to the neck
  Vector3 centre_{0, 0, 0};  ///< what patches are placed around
  Matrix3 mirror_{};
  std::array<std::array<int64_t, 256>, 2> class_of_{};  ///< of a label; after a flip
};

}  // namespace mambaseg
