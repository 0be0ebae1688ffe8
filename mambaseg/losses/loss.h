#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/types.h>

#include "mambaseg/config/config.h"
#include "mambaseg/core/ignored_class.h"

namespace mambaseg {

/// How well class scores fit the labels; the smaller the better.
class Loss {
 public:
  virtual ~Loss() = default;

  /// scores (B, K, spatial...) before softmax, classes (B, spatial...) int64 in 0..K-1 or, except for
  /// dice_bce_boundary, kIgnoredClass; or with one map of scores, K = 1, before a sigmoid and classes 0 and 1
  /// (losses that can; UsageError from others) -> scalar, differentiable in scores. `epoch` counts from 0:
  /// some losses change their parts while training goes on.
  virtual torch::Tensor operator()(const torch::Tensor& scores, const torch::Tensor& classes,
                                   int64_t epoch) const = 0;
};

/// What a loss may want to know of the training cases.
struct LossData {
  std::vector<double> class_voxels;  ///< voxels of class 0, 1, ... in all training cases; empty when unknown
  /// The classes that form the region of each score channel; empty when classes exclude each other.
  std::vector<std::vector<int64_t>> regions = {};
  bool ignores = false;  ///< some voxels may be of kIgnoredClass
};

/// Throws UsageError unless the scores have the two or more maps that a softmax is about.
void require_softmax(const torch::Tensor& scores);

/// How the list, the documentation and the tests see a loss.
struct LossEntry {
  std::string name;
  std::string summary;
  std::unique_ptr<Loss> (*make)(const Json& settings,
                                const LossData& data);  ///< UsageError on wrong settings
  Json (*settings)();                                   ///< the defaults
  std::vector<SettingDocumentation> (*documentation)();
  bool takes_regions = false;
  bool takes_ignored = true;
};

/// Every loss, in the order of the documentation (losses.cpp).
const std::vector<LossEntry>& losses();

/// The entry that `config` names: {"name": "dice", settings ...}; UsageError with the nearest name otherwise.
const LossEntry& find_loss(const Json& config);

/// Makes the loss that `config` describes: {"name": "dice", settings ...}. UsageError when it cannot learn
/// regions or ignore voxels and `data` asks for it.
std::unique_ptr<Loss> make_loss(const Json& config, const LossData& data = {});

/// The part of make_loss that refuses what cannot be learned.
void require_loss_for(const Json& config, const LossData& data);

/// `config` with every setting of its loss written out.
Json complete_loss_settings(const Json& config);

}  // namespace mambaseg
