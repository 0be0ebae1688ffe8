#include "mambaseg/report/case_scorer.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "mambaseg/core/error.h"
#include "mambaseg/data/interpolate.h"
#include "mambaseg/data/picture_mask.h"
#include "mambaseg/io/image.h"
#include "mambaseg/io/picture.h"

namespace mambaseg {
namespace {

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

ScoredCase score_case(const CasePair& files, const EvaluationOptions& options, const ScoreOptions& how,
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
  ScoredCase scored;
  scored.found = labels_of_both(in_reference, in_prediction);
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

std::vector<int32_t> labels_of_both(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  std::vector<int32_t> all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

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

CaseScorer::CaseScorer(const Pairing& pairing, const EvaluationOptions& options) : options_(options) {
  options_.masks = options.masks || (!options.threshold && are_masks(pairing, options));
  pictures_ = std::all_of(pairing.pairs.begin(), pairing.pairs.end(),
                          [](const CasePair& pair) { return is_picture_name(pair.reference); });
  if (options.metrics.empty()) metrics_ = usual_metrics();
  for (const std::string& name : options.metrics) metrics_.push_back(&metric_by_name(name));
  if (pictures_)
    for (const Metric*& metric : metrics_) metric = &in_pixels(*metric);
}

ScoredCase CaseScorer::score(const CasePair& files, int threads, const Warn& warn) const {
  const ScoreOptions how{metrics_, options_.tolerance_mm, options_.connectivity, threads};
  return score_case(files, options_, how, warn);
}

Evaluation CaseScorer::together(const Pairing& pairing, std::vector<ScoredCase> scored,
                                const Warn& warn) const {
  Evaluation result;
  result.metrics = metrics_;
  result.masks = options_.masks;
  result.pictures = pictures_;
  result.tolerance_mm = options_.tolerance_mm;
  result.missing = pairing.missing;
  result.extra = pairing.extra;
  std::vector<int32_t> found;
  for (const ScoredCase& one : scored) found = labels_of_both(found, one.found);
  result.labels = options_.labels.entries;
  if (result.labels.empty())
    for (const int32_t id : found) result.labels.push_back({id, options_.labels.name(id), {}});
  require(!result.labels.empty(), "no label is set in any of the ", scored.size(),
          " cases, nothing to score");
  std::vector<std::string> unnamed;
  for (const int32_t id : found)
    if (!options_.labels.entries.empty() && !options_.labels.knows(id)) unnamed.push_back(std::to_string(id));
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
