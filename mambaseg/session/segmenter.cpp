#include "mambaseg/session/segmenter.h"

#include <algorithm>

#include "mambaseg/core/error.h"
#include "mambaseg/ops/implementation.h"

namespace mambaseg {
namespace {

using Kind = std::variant<VolumeSegmenter, PictureSegmenter>;

std::unique_ptr<Kind> loaded(const ModelInBox& model, const Runtime& runtime, double memory_gib) {
  if (task_of(model) == "pictures")
    return std::make_unique<Kind>(std::in_place_type<PictureSegmenter>, model, runtime.device,
                                  runtime.precision);
  PredictorSettings settings;
  settings.memory_gib = memory_gib;
  settings.device = runtime.device;
  settings.precision = runtime.precision;
  return std::make_unique<Kind>(std::in_place_type<VolumeSegmenter>, model, settings);
}

}  // namespace

void ImageInWork::go_on_from(Step step, const Segmenter* segmenter) {
  if (owner_ != segmenter) throw UsageError("the image was prepared by another segmenter");
  Step expected = step;
  if (step_.compare_exchange_strong(expected, Step::done)) return;
  throw UsageError(concat("expected an image that ",
                          step == Step::prepared ? "has just been prepared" : "the network has seen",
                          "; each goes through prepare, infer and finish once"));
}

Segmenter::Segmenter(const ModelInBox& model, const RuntimeSettings& settings, double memory_gib)
    : runtime_(settings) {
  if (memory_gib < 0) throw UsageError(concat("memory: expected 0 GiB or more, got ", memory_gib));
  runtime_.run([&] { kind_ = loaded(model, runtime_, memory_gib); });
}

std::unique_ptr<ImageInWork> Segmenter::prepare(AnyImage image, bool second_look,
                                                const Listeners& listeners) const {
  if (std::holds_alternative<Picture>(image) != reads_pictures())
    throw UsageError(reads_pictures() ? "the model reads pictures, the image is a volume"
                                      : "the model reads volumes, the image is a picture");
  std::unique_ptr<ImageInWork> made;
  runtime_.run([&] {
    if (const auto* volumes = std::get_if<VolumeSegmenter>(kind_.get()))
      made = std::make_unique<ImageInWork>(
          this, volumes->prepare(std::make_shared<const Image>(std::move(std::get<Image>(image))),
                                 second_look, listeners.warn));
    else
      made = std::make_unique<ImageInWork>(
          this, std::get<PictureSegmenter>(*kind_).prepare(std::move(std::get<Picture>(image)), second_look));
  });
  return made;
}

void Segmenter::infer(ImageInWork& image, const Listeners& listeners) {
  image.go_on_from(ImageInWork::Step::prepared, this);
  const auto at = [&](int64_t done) {
    if (listeners.progress) listeners.progress("segmenting", done, 1);
  };
  const std::lock_guard<std::mutex> alone(network_);
  runtime_.run([&] {
    const SlowOperators slow(listeners.warn);
    at(0);
    if (auto* volumes = std::get_if<VolumeSegmenter>(kind_.get()))
      volumes->infer(std::get<VolumeInWork>(image.work_), listeners.progress, listeners.warn, listeners.note);
    else
      std::get<PictureSegmenter>(*kind_).infer(std::get<PictureInWork>(image.work_), listeners.note);
    at(1);
  });
  image.step_ = ImageInWork::Step::inferred;
}

SegmentedImage Segmenter::finish(ImageInWork& image) const {
  image.go_on_from(ImageInWork::Step::inferred, this);
  SegmentedImage out;
  runtime_.run([&] {
    if (const auto* volumes = std::get_if<VolumeSegmenter>(kind_.get())) {
      SegmentedVolume found = volumes->finish(std::move(std::get<VolumeInWork>(image.work_)));
      out = {std::move(found.labels), std::move(found.findings)};
    } else {
      SegmentedPicture found =
          std::get<PictureSegmenter>(*kind_).finish(std::get<PictureInWork>(image.work_));
      out = {std::move(found.mask), std::move(found.findings)};
    }
  });
  return out;
}

SegmentedImage Segmenter::segment(AnyImage image, bool second_look, const Listeners& listeners) {
  const std::unique_ptr<ImageInWork> one = prepare(std::move(image), second_look, listeners);
  infer(*one, listeners);
  return finish(*one);
}

}  // namespace mambaseg
