#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mambaseg/core/progress.h"
#include "mambaseg/metrics/compare_labels.h"
#include "mambaseg/report/label_table.h"
#include "mambaseg/report/pairing.h"
#include "mambaseg/stats/describe.h"

namespace mambaseg {

struct EvaluationOptions {
  LabelTable labels;                 ///< score these; empty: every label that occurs
  std::vector<std::string> metrics;  ///< names; empty: usual_metrics()
  double tolerance_mm = 1;           ///< of the normalised surface Dice
  /// Values above become label 1, others 0, in images that hold more than 0 and 1.
  std::optional<int32_t> threshold;
  /// Pictures are masks of one structure (structure_of, 127) unless `labels` name every number in them.
  /// evaluate() finds out by the pictures; JPEG always is.
  bool masks = false;
  Connectivity connectivity = Connectivity::corners;  ///< of lesions
  bool resample = false;  ///< bring a prediction on another grid to that of the reference (nearest voxel)
  int threads = 1;
};

/// Labels of a file as they are scored: read, thresholded and merged as `options` say; pictures as
/// read_picture_numbers reads them.
Volume<int32_t> read_scored_labels(const std::string& path, const EvaluationOptions& options,
                                   const Warn& warn = {});

/// The scores of a case, one entry for each of Evaluation::labels in the same order.
struct CaseScores {
  CasePair files;
  double voxel_volume_mm3 = 1;
  std::vector<LabelScores> labels;
};

/// A set of predictions scored against references.
struct Evaluation {
  std::vector<LabelEntry> labels;  ///< ascending by id
  std::vector<const Metric*> metrics;
  double tolerance_mm = 1;
  bool masks = false;     ///< see EvaluationOptions
  bool pictures = false;  ///< all cases are pictures: lengths are in pixels
  std::vector<CaseScores> cases;
  std::vector<std::string> missing, extra;  ///< see Pairing

  /// The defined values of a metric for a label, in the order of the cases.
  std::vector<double> values(size_t metric, size_t label) const;
  /// How often a label was missed, spurious, ... over the cases.
  int64_t count(size_t label, Presence presence) const;
  /// A score of the voxel counts of all cases added up (micro average), where values() gives one for each
  /// case, whose mean is the macro average. Empty for metrics of other things than counts, and for measures.
  std::optional<double> pooled(size_t metric, size_t label) const;
  /// Mean over the labels of their means over cases (nnU-Net's foreground mean), in the description of the
  /// label means: n is the number of labels that have a value.
  Description over_labels(size_t metric) const;

  /// Predicted and reference volumes of a label, mm3, in the cases where either has it; empty where they were
  /// not measured and of pictures.
  struct Volumes {
    std::vector<double> predicted, reference;
  };
  Volumes volumes(size_t label) const;
};

/// Reads and scores every pair, regions as the unions of their labels, without the voxels that the reference
/// ignores. Labels in the images that a given table does not name are warned about and left out. Throws Error
/// naming the case: unreadable, not whole or negative labels, grids that differ.
Evaluation evaluate(const Pairing& pairing, const EvaluationOptions& options, const Progress& progress = {},
                    const Warn& warn = {});

}  // namespace mambaseg
