#include "mambaseg/tasks/pictures/picture_labels.h"

#include <algorithm>
#include <array>
#include <set>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

constexpr int64_t kGreys = 256;

/// The one structure of masks as a class.
LabelSettings settings_of(const PicturePlan& plan) {
  LabelSettings settings = plan;
  if (settings.classes.empty()) settings.classes = {{plan.structure, {1}}};
  return settings;
}

}  // namespace

PictureLabels::PictureLabels(const PicturePlan& plan)
    : masks_(plan.classes.empty()),
      one_map_(masks_ && plan.scores == "sigmoid"),
      threshold_(plan.threshold),
      mask_threshold_(plan.mask_threshold),
      colours_(mask_colours(plan.colours)),
      scheme_(settings_of(plan)) {
  for (const LabelClass& one : settings_of(plan).classes) names_.push_back(one.name);
}

torch::Tensor PictureLabels::votes(const torch::Tensor& scores_BKYX) const {
  return one_map_ ? torch::sigmoid(scores_BKYX) : scheme_.votes(scores_BKYX);
}

torch::Tensor PictureLabels::decide(const torch::Tensor& votes_KYX) const {
  return (one_map_ ? votes_KYX[0] >= threshold_ : scheme_.decide(votes_KYX)).to(torch::kUInt8);
}

std::vector<std::pair<int64_t, torch::Tensor>> PictureLabels::probabilities(
    const torch::Tensor& votes_KYX) const {
  std::vector<std::pair<int64_t, torch::Tensor>> maps;
  for (int64_t k = one_map_ ? 0 : 1; k < votes_KYX.size(0); ++k)
    maps.emplace_back(one_map_ ? 1 : k, votes_KYX[k]);
  return maps;
}

torch::Tensor PictureLabels::classes_of(const PictureNumbers& mask, std::vector<int64_t>& unnamed) const {
  std::vector<uint8_t> classes;
  if (masks_ && colours_.empty()) {
    const auto is_ignored = [&](int32_t grey) {  // a JPEG does not keep a grey exactly
      return !mask.jpeg && scheme_.class_of(grey) == kIgnoredClass;
    };
    PictureNumbers counted = mask;
    std::replace_if(counted.values.begin(), counted.values.end(), is_ignored, 0);
    classes = structure_of(counted, mask_threshold_);
    for (size_t i = 0; i < classes.size(); ++i)
      if (is_ignored(mask.values[i])) classes[i] = static_cast<uint8_t>(kIgnoredClass);
  } else {
    require(!mask.jpeg, "a JPEG cannot keep label numbers; save this mask as PNG");
    std::set<int64_t> others;
    for (const int32_t number : mask.values) {
      const int64_t k = scheme_.class_of(number);
      if (k == LabelScheme::kUnknown) others.insert(number);
      classes.push_back(static_cast<uint8_t>(k == LabelScheme::kUnknown ? 0 : k));
    }
    unnamed.assign(others.begin(), others.end());
  }
  return torch::from_blob(classes.data(), {mask.height, mask.width}, torch::kUInt8).clone();
}

Picture PictureLabels::mask_of(const torch::Tensor& classes_YX) const {
  const auto classes = classes_YX.to(torch::kUInt8).contiguous();
  const auto* k = classes.data_ptr<uint8_t>();
  Picture mask{classes.size(1), classes.size(0), colours_.empty() ? 1 : 3, {}};
  std::array<std::array<uint8_t, 3>, kGreys> written{};
  for (int64_t c = 1; c <= scheme_.class_count(); ++c) {
    const int64_t label = scheme_.label_of(c);
    auto& value = written[static_cast<size_t>(c)];
    value[0] = masks_ ? 255 : static_cast<uint8_t>(label);
    for (const auto& [colour, number] : colours_)
      if (number == label) value = colour;
  }
  for (int64_t i = 0; i < classes.numel(); ++i)
    for (int channel = 0; channel < mask.channels; ++channel)
      mask.values.push_back(written[k[i]][static_cast<size_t>(channel)]);
  return mask;
}

}  // namespace mambaseg
