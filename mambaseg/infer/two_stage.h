#pragma once

#include <optional>

#include "mambaseg/infer/predictor.h"

namespace mambaseg {

/// What one case gives: labels on the grid of the file. `second` is empty without a second stage and where
/// the first stage found none of the labels it is centred on.
struct CaseLabels {
  Volume<int32_t> first;
  std::optional<Volume<int32_t>> second;
};

/// A case as its first stage sees it, and what the second will ask for.
struct StagedCase {
  std::vector<Image> channels;  ///< kept for a second stage only
  PreparedImage prepared;
};

/// One stage over the whole image, and where there is a second, that one in a box around the labels it names
/// (Plan::region_labels, the hippocampal stage of networks.md 1.8 step 8, without components of less than a
/// tenth of the largest).
class TwoStage {
 public:
  /// Throws UsageError when the first plan works in a region or the second does not.
  TwoStage(Predictor first, std::optional<Predictor> second);

  /// Reads models in any order: those that work on the whole image form the first stage, those that work
  /// around labels the second; several of one stage are averaged.
  static TwoStage load(const std::vector<std::string>& paths, const PredictorSettings& settings);

  /// All that comes before the networks; `channels` of one case, on one grid. May run on another thread while
  /// a case is in run_prepared().
  StagedCase prepare(std::vector<Image> channels, const Warn& warn = {}) const;

  /// What is needed no more is freed on the way. `note` gets one line of planned work before each stage runs,
  /// and one when its precision is chosen, which happens at the first image. `slice` gets the first stage's
  /// class probabilities (Predictor::labels).
  CaseLabels run_prepared(StagedCase one, const Progress& progress = {}, const Warn& warn = {},
                          const Warn& note = {}, const ScoreResampler::Slice& slice = {});

  /// Both, one after the other.
  CaseLabels run(std::vector<Image> channels, const Progress& progress = {}, const Warn& warn = {},
                 const Warn& note = {}, const ScoreResampler::Slice& slice = {}) {
    return run_prepared(prepare(std::move(channels), warn), progress, warn, note, slice);
  }

  const Predictor& first() const { return first_; }

  /// The stage whose labels people want.
  const Predictor& last() const { return second_ ? *second_ : first_; }

  bool has_second() const { return second_.has_value(); }

 private:
  Predictor first_;
  std::optional<Predictor> second_;
};

}  // namespace mambaseg
