#include "mambaseg/tasks/volumes/fingerprint.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>
#include <set>

#include "mambaseg/core/random.h"
#include "mambaseg/data/crop.h"
#include "mambaseg/data/label_advice.h"
#include "mambaseg/data/label_scheme.h"
#include "mambaseg/data/nonzero_mask.h"
#include "mambaseg/data/preprocess.h"
#include "mambaseg/io/channels.h"
#include "mambaseg/io/image.h"
#include "mambaseg/ops/threads.h"
#include "mambaseg/tasks/volumes/volume_case.h"

namespace mambaseg {
namespace {

constexpr int64_t kSamplesPerCase = 10000;

/// What the thread that reads a case finds.
struct CaseFindings {
  std::string id;
  size_t channels = 0;  ///< 0: the images could not be read
  CaseFingerprint fingerprint;
  std::vector<std::vector<float>> samples;  ///< of labelled voxels, for each channel
  std::vector<double> class_voxels;
  uint64_t content = 0;       ///< hash of the first channel's voxels
  std::set<int32_t> unnamed;  ///< label numbers that count as background
  std::vector<std::string> problems;
};

/// By the header of the first image; 0 where that cannot be read, which reading will tell.
int64_t voxels_of(const Case& one) {
  try {
    return read_geometry(one.images.at(0)).voxel_count();
  } catch (const Error&) {
    return 0;
  }
}

uint64_t hash_of(const std::vector<float>& values) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a over words
  for (const float value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    hash = (hash ^ bits) * 1099511628211u;
  }
  return hash;
}

std::vector<Volume<float>> read_channels(const Case& one, CaseFindings& out) {
  std::vector<Volume<float>> channels;
  for (const std::string& path : one.images) {
    for (Volume<float>& channel : read_channel_volumes(path)) {  // Error on NaN and infinity
      const float value = channel.voxels.front();
      if (value != 0 &&
          std::all_of(channel.voxels.begin(), channel.voxels.end(), [&](float v) { return v == value; }))
        out.problems.push_back(concat("case ", one.id, ": ", path, ": every voxel has the value ", value));
      channels.push_back(std::move(channel));
    }
    const Geometry& grid = channels.back().geometry;
    if (!same_grid(grid, channels[0].geometry))
      out.problems.push_back(concat("case ", one.id, ": ", path, " has another grid (", describe(grid),
                                    ") than the first channel (", describe(channels[0].geometry), ")"));
  }
  return channels;
}

void count_labels(const Case& one, const Volume<int32_t>& labels, const LabelScheme& scheme, const Plan& plan,
                  CaseFindings& out) {
  std::set<int32_t> unexpected;
  for (const int32_t label : labels.voxels) {
    const int64_t k = scheme.class_of(label);
    if (k == LabelScheme::kUnknown) unexpected.insert(label);
    if (k == LabelScheme::kUnknown || (k == kIgnoredClass && scheme.ignores())) continue;
    if (static_cast<size_t>(k) >= out.class_voxels.size())
      out.class_voxels.resize(static_cast<size_t>(k) + 1, 0);
    ++out.class_voxels[static_cast<size_t>(k)];
  }
  out.class_voxels = scheme.structure_voxels(out.class_voxels);
  if (plan.unknown_labels == "background") {
    out.unnamed.insert(unexpected.begin(), unexpected.end());
    return;
  }
  if (unexpected.empty()) return;
  std::string list;
  for (const int32_t label : unexpected)
    if (list.size() < 40) list += (list.empty() ? "" : ", ") + std::to_string(label);
  out.problems.push_back(concat("case ", one.id, ": ", one.labels, " holds labels in no class: ", list));
}

void sample_foreground(const std::vector<Volume<float>>& channels, const Volume<int32_t>& labels,
                       const LabelScheme& scheme, Random random, CaseFindings& out) {
  std::vector<size_t> places;
  for (size_t v = 0; v < labels.voxels.size(); ++v)
    if (const int64_t k = scheme.class_of(labels.voxels[v]);
        k > 0 && !(k == kIgnoredClass && scheme.ignores()))
      places.push_back(v);
  const auto wanted = std::min<size_t>(places.size(), kSamplesPerCase);
  for (size_t i = 0; i < wanted; ++i)  // the first `wanted` of a shuffle
    std::swap(places[i],
              places[i + static_cast<size_t>(random.below(static_cast<int64_t>(places.size() - i)))]);
  for (const Volume<float>& channel : channels) {
    out.samples.emplace_back();
    for (size_t i = 0; i < wanted; ++i) out.samples.back().push_back(channel.voxels[places[i]]);
  }
}

CaseFindings inspect_case(const Case& one, const Plan& plan, Random random) {
  CaseFindings out;
  out.id = out.fingerprint.id = one.id;
  const auto attempt = [&](auto&& action) {
    try {
      action();
      return true;
    } catch (const Error& error) {
      out.problems.push_back(concat("case ", one.id, ": ", error.what()));
      return false;
    }
  };
  std::vector<Volume<float>> channels;
  Volume<int32_t> labels;
  const bool images_read = attempt([&] { channels = read_channels(one, out); });
  const bool labels_read = attempt([&] { labels = read_labels(one.labels); });
  const LabelScheme scheme(plan);
  if (labels_read) count_labels(one, labels, scheme, plan, out);
  if (!images_read) return out;
  out.channels = channels.size();
  const Geometry grid = channels[0].geometry;
  out.content = hash_of(channels[0].voxels);
  const bool one_size = std::all_of(channels.begin(), channels.end(),
                                    [&](const auto& channel) { return channel.geometry.size == grid.size; });
  if (!one_size) return out;
  const auto box = nonzero_box(nonzero_mask(channels));
  if (!box) {
    out.problems.push_back(concat("case ", one.id, ": all voxels are 0"));
    return out;
  }
  const AxisPermutation turn = permutation_between(grid.orientation(), plan.orientation);
  const Vector3 spacing = permuted(grid, turn).spacing_mm();
  for (int axis = 0; axis < 3; ++axis) {
    out.fingerprint.size.push_back(box->size[turn.axis[axis]]);
    out.fingerprint.spacing_mm.push_back(spacing[axis]);
  }
  if (labels_read && attempt([&] { require_on_grid(labels, one.labels, grid); }))
    sample_foreground(channels, labels, scheme, random, out);
  return out;
}

ChannelFingerprint summary_of(std::vector<float> values) {
  ChannelFingerprint out;
  if (values.empty()) return out;
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  const auto point = [&](double share) {  // linear between ranks, as NumPy's percentile
    const double rank = share * (count - 1);
    const auto low = static_cast<size_t>(rank);
    const double next = values[std::min(low + 1, values.size() - 1)];
    return values[low] + (rank - static_cast<double>(low)) * (next - values[low]);
  };
  out.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const float v : values) squares += (v - out.mean) * (v - out.mean);
  out.deviation = std::sqrt(squares / count);
  out.low = point(0.005);
  out.median = point(0.5);
  out.high = point(0.995);
  return out;
}

Inspection joined(std::vector<CaseFindings>& all, const Plan& plan) {
  Inspection out;
  std::set<int64_t> unnamed;
  std::vector<std::vector<float>> samples;
  out.fingerprint.class_voxels.resize(plan.classes.size() + 1, 0);
  std::map<uint64_t, std::string> first_with;
  const CaseFindings* channels = nullptr;  // the first case whose images could be read
  for (CaseFindings& one : all) {
    out.problems.insert(out.problems.end(), one.problems.begin(), one.problems.end());
    if (one.content != 0)
      if (const auto [other, is_new] = first_with.emplace(one.content, one.fingerprint.id); !is_new)
        out.problems.push_back(
            concat("cases ", other->second, " and ", one.fingerprint.id, " hold the same image"));
    if (!one.fingerprint.size.empty()) out.fingerprint.cases.push_back(std::move(one.fingerprint));
    if (!channels && one.channels > 0) channels = &one;
    if (channels && one.channels > 0 && one.channels != channels->channels)
      out.problems.push_back(concat("case ", one.id, " has ", one.channels, " channels, case ", channels->id,
                                    " has ", channels->channels));
    if (samples.size() < one.samples.size()) samples.resize(one.samples.size());
    for (size_t c = 0; c < one.samples.size(); ++c)
      samples[c].insert(samples[c].end(), one.samples[c].begin(), one.samples[c].end());
    auto& voxels = out.fingerprint.class_voxels;
    if (voxels.size() < one.class_voxels.size()) voxels.resize(one.class_voxels.size(), 0);
    for (size_t k = 0; k < one.class_voxels.size(); ++k) voxels[k] += one.class_voxels[k];
  }
  for (const CaseFindings& one : all) unnamed.insert(one.unnamed.begin(), one.unnamed.end());
  const auto& voxels = out.fingerprint.class_voxels;
  const bool any_labels = !unnamed.empty() || std::accumulate(voxels.begin(), voxels.end(), 0.0) > 0;
  if (any_labels) {  // else no label file could be read, which its own line says
    LabelOccurrence found{{}, voxels, unnamed, "case"};
    for (const LabelClass& one : plan.classes) found.structures.push_back(one.name);
    LabelAdvice advice = label_advice(found);
    if (!advice.problem.empty()) out.problems.push_back(std::move(advice.problem));
    out.warnings = std::move(advice.warnings);
  }
  for (auto& channel : samples) out.fingerprint.channels.push_back(summary_of(std::move(channel)));
  return out;
}

}  // namespace

Inspection inspect_cases(const std::vector<Case>& cases, const Plan& plan, const Workers& workers,
                         const Progress& progress) {
  check_orientation_and_labels(plan);
  const auto count = static_cast<int64_t>(cases.size());
  std::vector<CaseFindings> all(cases.size());
  std::mutex mutex;  // guards what follows and the callback
  int64_t done = 0;
  const auto inspect = [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    all[at] = inspect_case(cases[at], plan, Random(0, stream_of(static_cast<uint64_t>(i))));
    const std::lock_guard lock(mutex);
    if (progress) progress("reading cases", ++done, count);
  };
  // Of each voxel: the file's bytes and floats of every channel, labels, their places, the mask.
  constexpr int64_t kChannel = 8, kLabels = 20;
  run_tensor_jobs(count, workers, inspect, [&](int64_t i) {
    const Case& one = cases[static_cast<size_t>(i)];
    return voxels_of(one) * (kChannel * static_cast<int64_t>(one.images.size()) + kLabels);
  });
  return joined(all, plan);
}

}  // namespace mambaseg
