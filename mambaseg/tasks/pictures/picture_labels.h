#pragma once

#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/picture_mask.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/tasks/pictures/picture_plan.h"

namespace mambaseg {

/// What mask values, class numbers and the score maps of a network have to do with each other for pictures:
/// a LabelScheme, and beside it the one map of scores that tells one structure from the background.
class PictureLabels {
 public:
  explicit PictureLabels(const PicturePlan& plan);

  /// Masks show one structure by a threshold, and hold no label numbers.
  bool are_masks() const { return masks_; }
  const LabelScheme& scheme() const { return scheme_; }
  /// Names of the structures.
  const std::vector<std::string>& names() const { return names_; }

  /// Maps of scores that the network must have.
  int64_t score_maps() const { return one_map_ ? 1 : scheme_.score_maps(); }
  /// What models are averaged and pictures resized as, (B, maps, Y, X): the sigmoid of one map, or
  /// LabelScheme::votes.
  torch::Tensor votes(const torch::Tensor& scores_BKYX) const;
  /// Class numbers (Y, X) of votes (maps, Y, X), uint8.
  torch::Tensor decide(const torch::Tensor& votes_KYX) const;
  /// The probability maps (Y, X) among the votes, each with the number that its file is called by; of one map
  /// that alone. Background is left out.
  std::vector<std::pair<int64_t, torch::Tensor>> probabilities(const torch::Tensor& votes_KYX) const;

  /// Class numbers (Y, X) of a mask, uint8: kIgnoredClass where it holds plan.ignore_label; label numbers in
  /// no class go to `unnamed` and are background.
  /// Throws Error for what is no mask of this plan.
  torch::Tensor classes_of(const PictureNumbers& mask, std::vector<int64_t>& unnamed) const;
  /// A mask file's content for class numbers (Y, X): 0 and 255, the label numbers, or their colours.
  Picture mask_of(const torch::Tensor& classes_YX) const;
  /// The colours of coloured masks; empty for others.
  const MaskColours& colours() const { return colours_; }

 private:
  bool masks_, one_map_;
  double threshold_;
  int64_t mask_threshold_;
  MaskColours colours_;
  LabelScheme scheme_;
  std::vector<std::string> names_;
};

}  // namespace mambaseg
