#include "mambaseg/segment/picture_segmenter.h"

#include <algorithm>

#include "mambaseg/segment/limits.h"
#include "mambaseg/tasks/pictures/picture_overlay.h"

namespace mambaseg {

Picture mirrored(const Picture& picture) {
  Picture out = picture;
  const auto channels = static_cast<size_t>(picture.channels);
  const size_t width = static_cast<size_t>(picture.width);
  for (size_t pixel = 0; pixel < out.values.size() / channels; ++pixel) {
    const size_t row = pixel / width, column = pixel % width;
    const size_t from = row * width + (width - 1 - column);
    std::copy_n(&picture.values[from * channels], channels, &out.values[pixel * channels]);
  }
  return out;
}

PictureSegmenter::PictureSegmenter(const ModelInBox& model, torch::Device device, Precision precision)
    : limits_(model.card.limits),
      predictor_((check_weights(model), PicturePredictor::load(model.weights, device, precision))) {}

PictureInWork PictureSegmenter::prepare(Picture picture, bool quality) const {
  PictureInWork one;
  predictor_.check({picture});
  one.flags = check_picture(picture, limits_);
  one.views.push_back({std::move(picture)});
  if (quality) one.views.push_back({mirrored(one.views[0][0])});
  return one;
}

void PictureSegmenter::infer(PictureInWork& one, const Warn& note) {
  if (const std::string line = predictor_.settle_precision(one.views); !line.empty() && note) note(line);
  one.votes = predictor_.votes(one.views);
}

SegmentedPicture PictureSegmenter::finish(const PictureInWork& one) const {
  SegmentedPicture out;
  out.findings.flags = one.flags;
  const PictureLabels& labels = predictor_.labels();
  const torch::Tensor classes = labels.decide(one.votes[0]);
  out.mask = labels.mask_of(classes);
  out.overlay = overlay_of(one.views[0][0], classes, labels);
  const auto pixels = static_cast<double>(classes.numel());
  for (size_t s = 0; s < labels.names().size(); ++s) {
    int64_t count = 0;
    for (const int64_t k : labels.scheme().structures().at(s)) count += classes.eq(k).sum().item<int64_t>();
    const int64_t id = labels.are_masks() ? 255 : labels.scheme().label_of_structure(s);
    out.findings.structures.push_back(
        {id, labels.names()[s], count, 0, 100 * static_cast<double>(count) / pixels, std::nullopt});
  }
  if (one.votes.size() == 1) return out;
  const torch::Tensor back = labels.decide(one.votes[1]).flip({1}).contiguous();
  const torch::Tensor first = classes.contiguous();
  Agreement agreement;
  for (int64_t p = 0; p < first.numel(); ++p)
    agreement.add(first.data_ptr<uint8_t>()[p], back.data_ptr<uint8_t>()[p]);
  judge_agreement(out.findings, agreement, labels.scheme().structures(), limits_.agreement, limits_.quality);
  return out;
}

SegmentedPicture PictureSegmenter::run(const Picture& picture, bool quality, const Warn& note) {
  PictureInWork one = prepare(picture, quality);
  infer(one, note);
  return finish(one);
}

}  // namespace mambaseg
