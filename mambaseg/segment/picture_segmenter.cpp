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

SegmentedPicture PictureSegmenter::run(const Picture& picture, bool quality, const Warn& note) {
  SegmentedPicture out;
  predictor_.check({picture});
  out.findings.flags = check_picture(picture, limits_);
  std::vector<PictureChannels> views{{picture}};
  if (quality) views.push_back({mirrored(picture)});
  if (const std::string line = predictor_.settle_precision(views); !line.empty() && note) note(line);
  const std::vector<torch::Tensor> votes = predictor_.votes(views);
  const PictureLabels& labels = predictor_.labels();
  const torch::Tensor classes = labels.decide(votes[0]);
  out.mask = labels.mask_of(classes);
  out.overlay = overlay_of(picture, classes, labels);
  const auto pixels = static_cast<double>(classes.numel());
  for (size_t s = 0; s < labels.names().size(); ++s) {
    int64_t count = 0;
    for (const int64_t k : labels.scheme().structures().at(s)) count += classes.eq(k).sum().item<int64_t>();
    const int64_t id = labels.are_masks() ? 255 : labels.scheme().label_of_structure(s);
    out.findings.structures.push_back(
        {id, labels.names()[s], count, 0, 100 * static_cast<double>(count) / pixels, std::nullopt});
  }
  if (!quality) return out;
  const torch::Tensor back = labels.decide(votes[1]).flip({1}).contiguous();
  const torch::Tensor first = classes.contiguous();
  Agreement agreement;
  for (int64_t p = 0; p < first.numel(); ++p)
    agreement.add(first.data_ptr<uint8_t>()[p], back.data_ptr<uint8_t>()[p]);
  judge_agreement(out.findings, agreement, labels.scheme().structures(), limits_.agreement, limits_.quality);
  return out;
}

}  // namespace mambaseg
