#pragma once

#include <string>
#include <vector>

#include "mambaseg/report/evaluation.h"

namespace mambaseg {

/// How a warning ends that is said once for all masks of an evaluation.
constexpr char kGreyEdges[] = ": a mask with grey edges, values above 127 are the structure";

/// One case with the labels that it holds.
struct ScoredCase {
  std::vector<int32_t> found;
  std::vector<LabelScores> labels;
  int64_t voxels = 0;
  double voxel_volume_mm3 = 1;
};

/// evaluate() in steps, which different processes may take: each scores some of the cases of one pairing,
/// and one puts them together.
class CaseScorer {
 public:
  CaseScorer(const Pairing& pairing, const EvaluationOptions& options);

  /// Throws Error as evaluate() does. Any thread may ask.
  ScoredCase score(const CasePair& files, int threads, const Warn& warn) const;
  /// `scored`: one for each pair, in their order.
  Evaluation together(const Pairing& pairing, std::vector<ScoredCase> scored, const Warn& warn) const;

 private:
  EvaluationOptions options_;
  std::vector<const Metric*> metrics_;
  bool pictures_ = false;
};

/// The labels that occur in one of two ascending lists, ascending.
std::vector<int32_t> labels_of_both(const std::vector<int32_t>& a, const std::vector<int32_t>& b);

}  // namespace mambaseg
