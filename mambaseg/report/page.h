#pragma once

#include <string>
#include <vector>

#include "mambaseg/report/comparison.h"
#include "mambaseg/report/evaluation.h"
#include "mambaseg/report/subsets.h"
#include "mambaseg/report/summary.h"

namespace mambaseg {

/// A picture of a case, already written as PNG.
struct CasePicture {
  std::string path;
  std::string caption;
};

/// Subsets of the cases under a heading: volume strata of a label, or a column of the table of participants.
struct Grouping {
  std::string heading;
  std::vector<Subset> subsets;
  std::optional<size_t> label;  ///< none: mean over labels
};

struct PageContent {
  std::string title = "Segmentation report";
  std::vector<Grouping> groupings;
  std::vector<CasePicture> pictures;
};

/// report.html of one set of predictions. Metrics that were not computed leave their part out.
std::string evaluation_page(const Evaluation& evaluation, const PageContent& content, const Origin& origin);

/// What a comparison begins with.
struct ComparisonHead {
  std::string title = "Comparison of methods";
  std::string lead = {};  ///< HTML before everything else
};

/// report.html of a comparison.
std::string comparison_page(const Comparison& comparison, const ComparisonHead& head, const Origin& origin);

/// Mean over labels of a metric in one case, NaN when nothing is defined.
double case_mean(const Evaluation& evaluation, size_t metric, size_t case_index);

/// Positions of the cases from worst to best by the first score that was computed; cases without value are
/// left out.
std::vector<size_t> cases_from_worst(const Evaluation& evaluation);

}  // namespace mambaseg
