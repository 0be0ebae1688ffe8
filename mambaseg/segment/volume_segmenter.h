#pragma once

#include <memory>

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

/// A volume on its way through a VolumeSegmenter: what each step leaves for the next.
struct VolumeInWork {
  std::shared_ptr<const Image> image;
  bool quality = false;
  std::vector<std::string> flags;
  StagedCase staged;                      ///< of prepare()
  Volume<int32_t> labels;                 ///< of infer()
  std::optional<Volume<int32_t>> second;  ///< of infer(): the second look, brought back to the image
  std::string second_failure;             ///< why there is none
};

/// Throws UsageError when a model of volumes wants several images of each person.
void require_one_channel(const ModelInBox& model);

/// A model of volumes, loaded once for any number of images. One image at a time can be in infer(); the other
/// steps may run on any thread meanwhile.
class VolumeSegmenter {
 public:
  /// Throws Error when weights are not those of the card, UsageError when stages do not fit each other and
  /// when the model wants several images of each person.
  VolumeSegmenter(const ModelInBox& model, const PredictorSettings& settings);

  /// With `quality` a second pass over the mirrored image, with the contrast that the limits name. Throws
  /// Error for what the model's limits refuse, before the network runs where that can be known.
  SegmentedVolume run(const Image& image, bool quality, const Progress& progress = {}, const Warn& warn = {},
                      const Warn& note = {});

  // run() in steps.
  VolumeInWork prepare(std::shared_ptr<const Image> image, bool quality, const Warn& warn = {}) const;
  void infer(VolumeInWork& one, const Progress& progress = {}, const Warn& warn = {}, const Warn& note = {});
  SegmentedVolume finish(VolumeInWork one) const;

  const std::vector<LabelClass>& classes() const { return classes_; }

 private:
  Volume<int32_t> labels_of(StagedCase one, const Progress& progress, const Warn& warn, const Warn& note);

  ModelLimits limits_;
  TwoStage stages_;
  std::vector<LabelClass> classes_;  ///< of the last stage
};

}  // namespace mambaseg
