#pragma once

#include "mambaseg/core/progress.h"
#include "mambaseg/models/registry.h"
#include "mambaseg/segment/findings.h"
#include "mambaseg/tasks/pictures/picture_predictor.h"

namespace mambaseg {

/// The picture with left and right exchanged.
Picture mirrored(const Picture& picture);

struct SegmentedPicture {
  Picture mask;     ///< PictureLabels::mask_of
  Picture overlay;  ///< the picture with contours
  Findings findings;
};

/// A model of pictures, loaded once for any number of them.
class PictureSegmenter {
 public:
  /// Throws Error when weights are not those of the card.
  PictureSegmenter(const ModelInBox& model, torch::Device device, Precision precision);

  /// With `quality` the mirrored picture goes through the network as well. Throws Error for what the model's
  /// limits refuse.
  SegmentedPicture run(const Picture& picture, bool quality, const Warn& note = {});

  const PictureLabels& labels() const { return predictor_.labels(); }

 private:
  ModelLimits limits_;
  PicturePredictor predictor_;
};

}  // namespace mambaseg
