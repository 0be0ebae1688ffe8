#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include <torch/types.h>

#include "mambaseg/core/ignored_class.h"
#include "mambaseg/data/label_settings.h"

namespace mambaseg {

/// Throws UsageError ("plan: ...") unless structures have label numbers above 0, of which only those of
/// regions overlap, what is ignored belongs to none, and a byte tells the classes apart.
void check_labels(const LabelSettings& labels);

/// What label numbers, class numbers and the score maps of a network have to do with each other.
///
/// A class number belongs to one voxel: 0 background, 1, 2, ..., kIgnoredClass. Structures are what a network
/// learns and what is scored, one for each LabelSettings::classes.
/// - Structures that exclude each other: class k is structure k, and the scores of a voxel, background first,
///   go through a softmax; the largest wins.
/// - Regions (LabelSettings::regions_class_order): classes are the label numbers, a structure is a set of
/// them, and sets
///   may overlap (whole tumour, core, ...). Every region has a map of scores of its own and no background
///   has; they go through a sigmoid. Above 1/2 the region's number of regions_class_order is written, later
///   regions over earlier ones (nnU-Net's region-based training).
class LabelScheme {
 public:
  static constexpr int64_t kUnknown = -1;

  explicit LabelScheme(const LabelSettings& settings);

  bool regions() const { return regions_; }
  bool ignores() const { return ignore_label_ != 0; }

  /// The class of a label number of a file; kUnknown when the plan does not name it.
  int64_t class_of(int64_t label) const;
  /// The label number that is written for a class. Throws Error for classes that the plan does not have.
  int64_t label_of(int64_t k) const;
  /// Classes without background, ignored voxels left out.
  int64_t class_count() const { return static_cast<int64_t>(labels_.size()) - 1; }
  /// The classes that form each structure. Empty when the plan names none: files then hold the class numbers.
  const std::vector<std::vector<int64_t>>& structures() const { return structures_; }
  /// The label number that is written for structure s (0, 1, ...) of those that the plan names.
  int64_t label_of_structure(size_t s) const {
    return label_of(regions_ ? written_.at(s) : structures_.at(s).front());
  }
  /// Voxels of background and of each structure, from those of class 0, 1, ...
  std::vector<double> structure_voxels(const std::vector<double>& class_voxels) const;

  /// Maps of scores that the network must have. 0 when the plan names no classes.
  int64_t score_maps() const;
  /// What patches add up, (B, vote maps, spatial...), from scores (B, K, spatial...): the softmax; of regions
  /// a map of ones, which counts how much was added up, and behind it their sigmoids.
  torch::Tensor votes(const torch::Tensor& scores_BK) const;
  int64_t vote_maps(int64_t score_maps) const { return score_maps + (regions_ ? 1 : 0); }
  /// Class numbers (spatial...) of sums of votes (vote maps, spatial...), int64.
  torch::Tensor decide(const torch::Tensor& votes_K) const;
  /// The class that a voxel gets where vote map `map` wins: the largest; of regions the last above half of
  /// map 0, or 0 where none is.
  int64_t class_of_map(int64_t map) const;

 private:
  bool any_label_;
  bool regions_;
  int64_t ignore_label_;
  std::map<int64_t, int64_t> class_of_;
  std::vector<int64_t> labels_;  ///< written for class 0, 1, ...
  std::vector<std::vector<int64_t>> structures_;
  std::vector<int64_t> written_;  ///< the class that each region is written as
};

}  // namespace mambaseg
