#include "mambaseg/segment/volume_segmenter.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/data/sides.h"
#include "mambaseg/segment/limits.h"

namespace mambaseg {
namespace {

size_t side_axis(const Geometry& geometry) {
  return static_cast<size_t>(left_right_axis(geometry.orientation()));
}

template <class T>
std::vector<T> reversed_along(const std::vector<T>& values, const Index3& n, size_t axis) {
  std::vector<T> out(values.size());
  size_t v = 0;
  for (int64_t k = 0; k < n[2]; ++k)
    for (int64_t j = 0; j < n[1]; ++j)
      for (int64_t i = 0; i < n[0]; ++i) {
        Index3 from{i, j, k};
        from[axis] = n[axis] - 1 - from[axis];
        out[v++] = values[static_cast<size_t>(from[0] + n[0] * (from[1] + n[1] * from[2]))];
      }
  return out;
}

std::vector<Image> one_channel(Image image) {
  std::vector<Image> channels;  // an initialiser list would copy it
  channels.push_back(std::move(image));
  return channels;
}

std::vector<LabelClass> classes_of(const Plan& plan, int64_t count) {
  if (!plan.classes.empty()) return plan.classes;
  std::vector<LabelClass> numbered;
  for (int64_t k = 1; k < count; ++k) numbered.push_back({concat("label ", k), {k}});
  return numbered;
}

}  // namespace

Image mirrored(const Image& image) {
  Image out{image.geometry, {}, image.step};
  std::visit(
      [&](const auto& voxels) {
        out.voxels = reversed_along(voxels, image.geometry.size, side_axis(image.geometry));
      },
      image.voxels);
  return out;
}

Volume<int32_t> mirrored(const Volume<int32_t>& labels, const std::map<int64_t, int64_t>& other_sides) {
  Volume<int32_t> out;
  out.geometry = labels.geometry;
  out.voxels = reversed_along(labels.voxels, labels.geometry.size, side_axis(labels.geometry));
  for (int32_t& label : out.voxels)
    if (const auto found = other_sides.find(label); found != other_sides.end())
      label = static_cast<int32_t>(found->second);
  return out;
}

Image with_gamma(const Image& image, double gamma) {
  std::vector<float> values = std::visit(
      [](const auto& voxels) { return std::vector<float>(voxels.begin(), voxels.end()); }, image.voxels);
  if (values.empty()) return image;
  std::vector<float> sorted = values;
  const auto bright =
      sorted.begin() + static_cast<std::ptrdiff_t>(0.999 * static_cast<double>(sorted.size() - 1));
  std::nth_element(sorted.begin(), bright, sorted.end());
  const float low = *std::min_element(sorted.begin(), bright + 1), range = *bright - low;
  if (!(range > 0)) return image;
  for (float& value : values)
    value = low + range * std::pow((value - low) / range, static_cast<float>(gamma));
  return {image.geometry, std::move(values), image.step};
}

void require_one_channel(const ModelInBox& model) {
  const int64_t channels = image_channels(read_model_info(model.weights.front()));
  if (channels != 1)
    throw UsageError(concat("the model ", model.name, " wants ", channels,
                            " images of each person; use mambaseg predict"));
}

VolumeSegmenter::VolumeSegmenter(const ModelInBox& model, const PredictorSettings& settings)
    : limits_(model.card.limits),
      stages_((check_weights(model), require_one_channel(model), TwoStage::load(model.weights, settings))) {
  const Predictor& last = stages_.last();
  classes_ = classes_of(last.plan(), last.probability_maps() + last.first_probability());
}

Volume<int32_t> VolumeSegmenter::labels_of(StagedCase one, const Progress& progress, const Warn& warn,
                                           const Warn& note) {
  CaseLabels labels = stages_.run_prepared(std::move(one), progress, warn, note);
  check_found(labels.first, limits_);
  if (!stages_.has_second()) return std::move(labels.first);
  require(labels.second.has_value(),
          "no head was found: the first look sees nothing around which the second "
          "could look");
  return std::move(*labels.second);
}

VolumeInWork VolumeSegmenter::prepare(std::shared_ptr<const Image> image, bool quality,
                                      const Warn& warn) const {
  VolumeInWork one;
  one.flags = check_image(*image, limits_);
  one.staged = stages_.prepare(one_channel(*image), warn);
  one.image = std::move(image);
  one.quality = quality;
  return one;
}

void VolumeSegmenter::infer(VolumeInWork& one, const Progress& progress, const Warn& warn, const Warn& note) {
  one.labels = labels_of(std::exchange(one.staged, {}), progress, warn, note);
  if (!one.quality) return;
  const double gamma = limits_.second_look_gamma;
  const Image& image = *one.image;
  try {
    StagedCase other = stages_.prepare(one_channel(mirrored(gamma == 1 ? image : with_gamma(image, gamma))));
    one.second = mirrored(labels_of(std::move(other), progress, {}, {}), other_sides(classes_));
  } catch (const Error& error) {  // the first pass has labels: they stand, and somebody should look at them
    one.second_failure = error.what();
  }
}

SegmentedVolume VolumeSegmenter::finish(VolumeInWork one) const {
  const Image& image = *one.image;
  SegmentedVolume out{std::move(one.labels), {{}, std::move(one.flags)}};
  std::map<int64_t, int64_t> voxels;
  for (const int32_t label : out.labels.voxels)
    if (label != 0) ++voxels[label];
  const double voxel_mm3 = image.geometry.voxel_volume_mm3();
  const std::vector<int64_t>& written = stages_.last().plan().regions_class_order;
  std::vector<std::vector<int64_t>> members;
  for (const LabelClass& each : classes_) {
    int64_t count = 0;  // one number is written for a class; regions share them
    for (const int64_t id : each.ids) count += voxels[id];
    const int64_t id = written.empty() ? each.ids.at(0) : written.at(members.size());
    out.findings.structures.push_back(
        {id, each.name, count, static_cast<double>(count) * voxel_mm3, 0, std::nullopt});
    members.push_back(each.ids);
  }
  for (std::string& flag : check_labels(image, out.labels, out.findings.structures, limits_))
    out.findings.flags.push_back(std::move(flag));
  if (!one.quality) return out;
  Agreement agreement;
  if (!one.second) out.findings.flags.push_back("the second look: " + one.second_failure);
  for (size_t v = 0; v < out.labels.voxels.size(); ++v)
    agreement.add(out.labels.voxels[v], one.second ? one.second->voxels[v] : 0);
  judge_agreement(out.findings, agreement, members, limits_.agreement, limits_.quality);
  return out;
}

SegmentedVolume VolumeSegmenter::run(const Image& image, bool quality, const Progress& progress,
                                     const Warn& warn, const Warn& note) {
  const std::shared_ptr<const Image> borrowed(std::shared_ptr<void>(), &image);
  VolumeInWork one = prepare(borrowed, quality, warn);
  infer(one, progress, warn, note);
  return finish(std::move(one));
}

}  // namespace mambaseg
