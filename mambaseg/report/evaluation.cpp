#include "mambaseg/report/evaluation.h"

#include <omp.h>

#include <algorithm>
#include <mutex>

#include "mambaseg/core/error.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"
#include "mambaseg/report/case_scorer.h"

namespace mambaseg {
namespace {

/// Of the larger file by its header; 0 for pictures, which are small, and where reading will tell what is
/// wrong.
int64_t voxels_of(const CasePair& files) {
  int64_t most = 0;
  for (const std::string& path : {files.reference, files.prediction}) try {
      if (!is_picture_name(path)) most = std::max(most, read_geometry(path).voxel_count());
    } catch (const Error&) {
    }
  return most;
}

}  // namespace

std::vector<double> Evaluation::values(size_t metric, size_t label) const {
  std::vector<double> defined;
  for (const CaseScores& one : cases)
    if (const auto& value = one.labels[label].values[metric]) defined.push_back(*value);
  return defined;
}

int64_t Evaluation::count(size_t label, Presence presence) const {
  return std::count_if(cases.begin(), cases.end(),
                       [&](const CaseScores& one) { return one.labels[label].presence == presence; });
}

std::optional<double> Evaluation::pooled(size_t metric, size_t label) const {
  if (metrics[metric]->kind != Kind::score || metrics[metric]->basis != Basis::counts) return std::nullopt;
  LabelComparison sum;
  for (const CaseScores& one : cases) {
    const Counts& counts = one.labels[label].counts;
    sum.counts.tp += counts.tp;
    sum.counts.fp += counts.fp;
    sum.counts.fn += counts.fn;
    sum.counts.tn += counts.tn;
  }
  return score(*metrics[metric], sum);
}

Description Evaluation::over_labels(size_t metric) const {
  std::vector<double> means;
  for (size_t l = 0; l < labels.size(); ++l)
    if (const Description d = describe(values(metric, l)); d.n > 0) means.push_back(d.mean);
  return describe(means);
}

Evaluation::Volumes Evaluation::volumes(size_t label) const {
  const auto position = [&](const char* name) {
    return static_cast<size_t>(
        std::find_if(metrics.begin(), metrics.end(),
                     [&](const Metric* one) { return one->name == std::string(name); }) -
        metrics.begin());
  };
  const size_t predicted = position("volume_prediction"), reference = position("volume_reference");
  Volumes out;
  if (pictures || predicted == metrics.size() || reference == metrics.size()) return out;
  for (const CaseScores& one : cases) {
    const LabelScores& scores = one.labels[label];
    if (scores.presence == Presence::absent) continue;
    out.predicted.push_back(scores.values[predicted].value_or(0));
    out.reference.push_back(scores.values[reference].value_or(0));
  }
  return out;
}

Evaluation evaluate(const Pairing& pairing, const EvaluationOptions& options, const Progress& progress,
                    const Warn& warn) {
  const CaseScorer scorer(pairing, options);
  std::mutex report;  // guards progress, warnings and `done`
  int64_t with_grey_edges = 0;
  std::string first_with_grey_edges;
  const Warn guarded_warn = [&](const std::string& line) {
    const std::lock_guard lock(report);
    const bool again = line.ends_with(kGreyEdges);  // said once for all
    if (again && with_grey_edges++ == 0) first_with_grey_edges = line;
    if (warn && !again) warn(line);
  };
  const auto count = int64_t(pairing.pairs.size());
  const int at_once = int(std::clamp<int64_t>(options.threads, 1, std::max<int64_t>(1, count)));
  std::vector<ScoredCase> scored(pairing.pairs.size());
  int64_t done = 0;
  const auto score = [&](int64_t c) {
    scored[size_t(c)] =
        scorer.score(pairing.pairs[size_t(c)], std::max(1, options.threads / at_once), guarded_warn);
    const std::lock_guard lock(report);
    if (progress) progress("scoring cases", ++done, count);
  };
  const auto bytes = [&](int64_t c) {
    constexpr int64_t kOfVoxel = 40;  // both images as read and as labels, surfaces and distances
    return kOfVoxel * voxels_of(pairing.pairs[size_t(c)]);
  };
  run_jobs(count, options.threads, score, bytes, omp_set_num_threads);

  if (warn && with_grey_edges > 0)
    warn(first_with_grey_edges +
         (with_grey_edges > 1 ? concat(", and of ", with_grey_edges - 1, " more masks") : ""));

  return scorer.together(pairing, std::move(scored), warn);
}

}  // namespace mambaseg
