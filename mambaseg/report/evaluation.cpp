#include "mambaseg/report/evaluation.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/core/workers.h"
#include "mambaseg/data/interpolate.h"
#include "mambaseg/data/picture_mask.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {
namespace {

constexpr char kGreyEdges[] = ": a mask with grey edges, values above 127 are the structure";

constexpr char kWhyMasks[] =
    " (the pictures it is scored with are masks: JPEGs, or mostly black and white; a JPEG cannot keep label "
    "numbers, so save maps of labels as PNG)";

/// Whether the table says that a picture holds labels, however large: it names every number, or some of the
/// few.
bool holds_labels(const PictureNumbers& picture, const LabelTable& table) {
  if (!table.colours.empty()) return true;
  std::set<int32_t> known{0};
  if (table.ignore != 0) known.insert(table.ignore);
  for (const LabelEntry& entry : table.entries) {
    known.insert(entry.id);
    known.insert(entry.also.begin(), entry.also.end());
  }
  if (known.size() == 1) return false;
  std::set<int32_t> named, others;
  for (const int32_t value : picture.values) {
    (known.count(value) ? named : others).insert(value);
    if (others.size() > table.entries.size()) return false;  // soft edges
  }
  return others.empty() || (!picture.jpeg && table.entries.size() > 1 && named.size() > 1);
}

/// One pixel is one mm.
Volume<int32_t> read_label_picture(const std::string& path, const EvaluationOptions& options,
                                   const Warn& warn) {
  PictureNumbers picture = read_picture_numbers(path, options.labels.colours);
  Geometry geometry;
  geometry.size = {picture.width, picture.height, 1};
  Volume<int32_t> labels(geometry);
  const bool mask = !options.threshold && (options.masks || shows_a_mask(picture));
  if (!mask || holds_labels(picture, options.labels)) {
    labels.voxels = std::move(picture.values);
    return labels;
  }
  const auto structure = with_context(path, [&] {
    try {
      return structure_of(picture);
    } catch (const Error& error) {
      throw Error(concat(error.what(), kWhyMasks));
    }
  });
  labels.voxels.assign(structure.begin(), structure.end());
  if (warn && !picture.jpeg && has_grey_edges(picture)) warn(path + kGreyEdges);
  return labels;
}

/// Whether the pictures of a set are masks of one structure and not maps of label numbers: the first that
/// can only be one of the two decides.
bool are_masks(const Pairing& pairing, const EvaluationOptions& options) {
  for (const CasePair& pair : pairing.pairs)
    for (const std::string& path : {pair.reference, pair.prediction}) {
      if (!is_picture_name(path)) continue;
      const PictureNumbers picture = read_picture_numbers(path, options.labels.colours);
      if (holds_labels(picture, options.labels) && has_grey_edges(picture)) return false;
      if (!holds_labels(picture, options.labels) && shows_a_mask(picture)) return true;
    }
  return false;
}

std::vector<int32_t> joined(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  std::vector<int32_t> all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

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

/// One case with the labels that it holds.
struct Scored {
  std::vector<int32_t> found;
  std::vector<LabelScores> labels;
  int64_t voxels = 0;
  double voxel_volume_mm3 = 1;
};

/// Where the reference is ignored both become background. Returns how many voxels that are.
int64_t clear_ignored(const LabelTable& table, Volume<int32_t>& reference, Volume<int32_t>& prediction) {
  if (table.ignore == 0) return 0;
  require_comparable(reference.geometry, prediction.geometry);
  int64_t cleared = 0;
  for (size_t v = 0; v < reference.voxels.size(); ++v)
    if (reference.voxels[v] == table.ignore) {
      reference.voxels[v] = prediction.voxels[v] = 0;
      ++cleared;
    }
  return cleared;
}

/// Each region as the union of its labels.
std::vector<LabelScores> compare_regions(const LabelTable& table, const Volume<int32_t>& reference,
                                         const Volume<int32_t>& prediction, const ScoreOptions& how) {
  std::vector<LabelScores> scores;
  for (const LabelEntry& region : table.entries) {
    const std::set<int32_t> members(region.also.begin(), region.also.end());
    const auto inside = [&](Volume<int32_t> labels) {
      for (int32_t& label : labels.voxels) label = label != 0 && members.contains(label);
      return labels;
    };
    scores.push_back(
        compare_labels(inside(reference), inside(prediction), std::vector<int32_t>{1}, how).front());
    scores.back().label = region.id;
  }
  return scores;
}

Scored score_case(const CasePair& files, const EvaluationOptions& options, const ScoreOptions& how,
                  const Warn& warn) {
  Volume<int32_t> reference = read_scored_labels(files.reference, options, warn);
  Volume<int32_t> prediction = read_scored_labels(files.prediction, options, warn);
  if (options.resample && !same_grid(reference.geometry, prediction.geometry)) {
    if (warn)
      warn(concat("case ", files.name, ": prediction resampled from ", describe(prediction.geometry)));
    prediction = resample_labels(prediction, reference.geometry);
  }
  const auto in_reference = with_context(files.reference, [&] { return labels_in(reference); });
  const auto in_prediction = with_context(files.prediction, [&] { return labels_in(prediction); });
  Scored scored;
  scored.found = joined(in_reference, in_prediction);
  ScoreOptions counted = how;
  counted.ignored_voxels = clear_ignored(options.labels, reference, prediction);
  scored.voxels = reference.geometry.voxel_count() - counted.ignored_voxels;
  scored.voxel_volume_mm3 = reference.geometry.voxel_volume_mm3();
  scored.labels = with_context(concat("case ", files.name), [&] {
    if (options.labels.regions) return compare_regions(options.labels, reference, prediction, counted);
    const auto wanted = options.labels.entries.empty() ? scored.found : options.labels.ids();
    return compare_labels(reference, prediction, wanted, counted);
  });
  return scored;
}

/// The scores of a label that is in neither image of a case.
LabelScores absent(int32_t label, int64_t voxels, const std::vector<const Metric*>& metrics) {
  LabelComparison nothing;
  nothing.counts.tn = voxels;
  LabelScores scores{label, Presence::absent, nothing.counts, {}};
  for (const Metric* metric : metrics) scores.values.push_back(score(*metric, nothing));
  return scores;
}

}  // namespace

Volume<int32_t> read_scored_labels(const std::string& path, const EvaluationOptions& options,
                                   const Warn& warn) {
  Volume<int32_t> labels =
      is_picture_name(path) ? read_label_picture(path, options, warn) : read_labels(path, warn);
  const bool mask =
      std::all_of(labels.voxels.begin(), labels.voxels.end(), [](int32_t v) { return v == 0 || v == 1; });
  if (options.threshold && !mask)
    for (int32_t& value : labels.voxels) value = value > *options.threshold;
  options.labels.merge(labels);
  return labels;
}

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

Evaluation evaluate(const Pairing& pairing, const EvaluationOptions& given, const Progress& progress,
                    const Warn& warn) {
  EvaluationOptions options = given;
  options.masks = options.masks || (!options.threshold && are_masks(pairing, options));
  Evaluation result;
  result.masks = options.masks;
  result.tolerance_mm = options.tolerance_mm;
  result.missing = pairing.missing;
  result.extra = pairing.extra;
  if (options.metrics.empty()) result.metrics = usual_metrics();
  for (const std::string& name : options.metrics) result.metrics.push_back(&metric_by_name(name));
  result.pictures = std::all_of(pairing.pairs.begin(), pairing.pairs.end(),
                                [](const CasePair& pair) { return is_picture_name(pair.reference); });
  if (result.pictures)
    for (const Metric*& metric : result.metrics) metric = &in_pixels(*metric);

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
  const ScoreOptions how{result.metrics, options.tolerance_mm, options.connectivity,
                         std::max(1, options.threads / at_once)};
  std::vector<Scored> scored(pairing.pairs.size());
  int64_t done = 0;
  const auto score = [&](int64_t c) {
    scored[size_t(c)] = score_case(pairing.pairs[size_t(c)], options, how, guarded_warn);
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

  std::vector<int32_t> found;
  for (const Scored& one : scored) found = joined(found, one.found);
  result.labels = options.labels.entries;
  if (result.labels.empty())
    for (const int32_t id : found) result.labels.push_back({id, options.labels.name(id), {}});
  require(!result.labels.empty(), "no label is set in any of the ", count, " cases, nothing to score");
  std::vector<std::string> unnamed;
  for (const int32_t id : found)
    if (!options.labels.entries.empty() && !options.labels.knows(id)) unnamed.push_back(std::to_string(id));
  if (!unnamed.empty() && warn)
    warn(concat("labels in the images that the table of labels does not name are not scored: ",
                name_list(unnamed, 12)));

  for (size_t c = 0; c < scored.size(); ++c) {
    CaseScores one{pairing.pairs[c], scored[c].voxel_volume_mm3, {}};
    auto next = scored[c].labels.begin();
    for (const LabelEntry& entry : result.labels) {
      const bool here = next != scored[c].labels.end() && next->label == entry.id;
      one.labels.push_back(here ? std::move(*next++) : absent(entry.id, scored[c].voxels, result.metrics));
    }
    result.cases.push_back(std::move(one));
  }
  return result;
}

}  // namespace mambaseg
