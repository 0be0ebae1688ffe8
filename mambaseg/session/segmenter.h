#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <variant>

#include "mambaseg/segment/picture_segmenter.h"
#include "mambaseg/segment/volume_segmenter.h"
#include "mambaseg/session/runtime.h"
#include "mambaseg/tasks/task.h"

namespace mambaseg {

/// An image of either kind.
using AnyImage = std::variant<Image, Picture>;

/// Labels of an image: numbers on the grid of a volume, the mask of a picture; and what was found.
struct SegmentedImage {
  std::variant<Volume<int32_t>, Picture> labels;
  Findings findings;
};

class Segmenter;

/// An image on its way through a Segmenter. It goes through each step once.
class ImageInWork {
 public:
  enum class Step { prepared, inferred, done };

  ImageInWork(const Segmenter* owner, std::variant<VolumeInWork, PictureInWork> work)
      : owner_(owner), work_(std::move(work)) {}

 private:
  friend class Segmenter;
  /// UsageError unless it is of this segmenter and has just been through `step`; nobody else goes on from
  /// there.
  void go_on_from(Step step, const Segmenter* segmenter);

  const Segmenter* owner_;
  std::variant<VolumeInWork, PictureInWork> work_;
  std::atomic<Step> step_ = Step::prepared;
};

/// A model in memory that segments images of its kind, one after the other or in steps that run side by side
/// on several threads: the network sees one image at a time, the others are prepared or finished meanwhile.
/// Several segmenters know nothing of each other. All steps run on threads of the runtime; a listener is
/// called there, and when its progress throws, that ends the step and nothing is left but an image that can
/// go no further.
class Segmenter {
 public:
  /// Throws Error when weights are not those of the card, UsageError for settings that do not fit the model
  /// or the machine, and for a model that wants several images of each person.
  Segmenter(const ModelInBox& model, const RuntimeSettings& settings, double memory_gib = 0);

  bool reads_pictures() const { return std::holds_alternative<PictureSegmenter>(*kind_); }

  /// Checks the image and brings it to the network's grid. With `second_look` the mirrored image is looked
  /// at, too. Throws Error for what the model's limits refuse, UsageError for an image of the other kind.
  std::unique_ptr<ImageInWork> prepare(AnyImage image, bool second_look,
                                       const Listeners& listeners = {}) const;
  /// Runs the network.
  void infer(ImageInWork& image, const Listeners& listeners = {});
  /// Labels and findings.
  SegmentedImage finish(ImageInWork& image) const;

  /// The three steps.
  SegmentedImage segment(AnyImage image, bool second_look, const Listeners& listeners = {});

 private:
  Runtime runtime_;
  std::unique_ptr<std::variant<VolumeSegmenter, PictureSegmenter>> kind_;
  std::mutex network_;  ///< held while it runs
};

}  // namespace mambaseg
