#pragma once

#include "mambaseg/infer/two_stage.h"
#include "mambaseg/models/registry.h"
#include "mambaseg/segment/findings.h"

namespace mambaseg {

/// The image mirrored in the patient's left and right: voxels along the axis that comes nearest, on the same
/// grid.
Image mirrored(const Image& image);
/// The same for labels, with the numbers of the two sides exchanged.
Volume<int32_t> mirrored(const Volume<int32_t>& labels, const std::map<int64_t, int64_t>& other_sides);

/// Values with another contrast: what lies at 0 between the least value and the 99.9 % point of all voxels
/// and 1 at that point goes to its `gamma`-th power there.
Image with_gamma(const Image& image, double gamma);

/// Labels of an image on its own grid, and what was found.
struct SegmentedVolume {
  Volume<int32_t> labels;
  Findings findings;
};

/// A model of volumes, loaded once for any number of images.
class VolumeSegmenter {
 public:
  /// Throws Error when weights are not those of the card, UsageError when stages do not fit each other.
  VolumeSegmenter(const ModelInBox& model, const PredictorSettings& settings);

  /// With `quality` a second pass over the mirrored image, with the contrast that the limits name. Throws
  /// Error for what the model's limits refuse, before the network runs where that can be known.
  SegmentedVolume run(const Image& image, bool quality, const Progress& progress = {}, const Warn& warn = {},
                      const Warn& note = {});

  const std::vector<LabelClass>& classes() const { return classes_; }

 private:
  Volume<int32_t> labels_of(Image image, const Progress& progress, const Warn& warn, const Warn& note);

  ModelLimits limits_;
  TwoStage stages_;
  std::vector<LabelClass> classes_;  ///< of the last stage
};

}  // namespace mambaseg
