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

/// A picture on its way through a PictureSegmenter: what each step leaves for the next.
struct PictureInWork {
  std::vector<PictureChannels> views;  ///< of prepare(): the picture, and with `quality` the mirrored one
  std::vector<std::string> flags;
  std::vector<torch::Tensor> votes;  ///< of infer(), for each view
};

/// A model of pictures, loaded once for any number of them. One picture at a time can be in infer(); the
/// other steps may run on any thread meanwhile.
class PictureSegmenter {
 public:
  /// Throws Error when weights are not those of the card.
  PictureSegmenter(const ModelInBox& model, torch::Device device, Precision precision);

  /// With `quality` the mirrored picture goes through the network as well. Throws Error for what the model's
  /// limits refuse.
  SegmentedPicture run(const Picture& picture, bool quality, const Warn& note = {});

  // run() in steps.
  PictureInWork prepare(Picture picture, bool quality) const;
  void infer(PictureInWork& one, const Warn& note = {});
  SegmentedPicture finish(const PictureInWork& one) const;

  const PictureLabels& labels() const { return predictor_.labels(); }

 private:
  ModelLimits limits_;
  PicturePredictor predictor_;
};

}  // namespace mambaseg
