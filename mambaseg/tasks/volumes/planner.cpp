#include "mambaseg/tasks/volumes/planner.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace mambaseg {
namespace {

constexpr double kAnisotropic = 3, kCoarseShare = 0.1, kAlike = 2;
constexpr double kFullVoxels = 256.0 * 256 * 256;  ///< of the patch that reduction starts from
constexpr double kDataShare = 0.05;                ///< of all voxels that a batch may hold
constexpr size_t kAxes = 3;

/// Value at a share of the sorted list, linear between ranks.
double point(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double rank = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(rank);
  const double next = values[std::min(low + 1, values.size() - 1)];
  return values[low] + (rank - static_cast<double>(low)) * (next - values[low]);
}

template <class Value>
std::vector<double> over_cases(const Fingerprint& fingerprint, Value&& value) {
  std::vector<double> out;
  for (const CaseFingerprint& one : fingerprint.cases) out.push_back(value(one));
  return out;
}

std::vector<double> target_spacing(const Fingerprint& fingerprint) {
  std::vector<double> spacing, size;
  for (size_t a = 0; a < kAxes; ++a) {
    spacing.push_back(point(over_cases(fingerprint, [a](const auto& c) { return c.spacing_mm[a]; }), 0.5));
    size.push_back(point(over_cases(fingerprint, [a](const auto& c) { return double(c.size[a]); }), 0.5));
  }
  const auto worst = static_cast<size_t>(std::max_element(spacing.begin(), spacing.end()) - spacing.begin());
  double other_spacing = 0, other_size = 1e300;
  for (size_t a = 0; a < kAxes; ++a)
    if (a != worst) {
      other_spacing = std::max(other_spacing, spacing[a]);
      other_size = std::min(other_size, size[a]);
    }
  if (spacing[worst] > kAnisotropic * other_spacing && size[worst] * kAnisotropic < other_size) {
    const double fine =
        point(over_cases(fingerprint, [worst](const auto& c) { return c.spacing_mm[worst]; }), kCoarseShare);
    spacing[worst] = std::max(fine, other_spacing);
  }
  return spacing;
}

double voxels_of(const std::vector<int64_t>& size) {
  return std::accumulate(size.begin(), size.end(), 1.0, [](double a, int64_t b) { return a * double(b); });
}

/// Equal edges in mm, kFullVoxels in all, inside the median case.
std::vector<int64_t> first_patch(const std::vector<double>& spacing,
                                 const std::vector<int64_t>& median_size) {
  double product = 1;
  for (const double s : spacing) product /= s;
  const double scale = std::cbrt(kFullVoxels / product);
  std::vector<int64_t> patch;
  for (size_t a = 0; a < kAxes; ++a)
    patch.push_back(std::min(static_cast<int64_t>(std::lround(scale / spacing[a])), median_size[a]));
  return patch;
}

/// How often each axis is halved in all.
std::vector<int64_t> total_strides(const StagePlan& stages) {
  std::vector<int64_t> out(kAxes, 1);
  for (const auto& stride : stages.strides)
    for (size_t a = 0; a < kAxes; ++a) out[a] *= stride[a];
  return out;
}

}  // namespace

StagePlan plan_stages(std::vector<int64_t>& patch, std::vector<double> spacing,
                      const PlannerSettings& settings) {
  StagePlan out;
  std::vector<int64_t> size = patch, kernel(kAxes, 1);
  std::vector<int64_t> stride(kAxes, 1);
  for (int64_t features = settings.first_features;;
       features = std::min(2 * features, settings.most_features)) {
    const double finest = *std::min_element(spacing.begin(), spacing.end());
    for (size_t a = 0; a < kAxes; ++a)
      if (spacing[a] < kAlike * finest) kernel[a] = 3;
    out.features.push_back(features);
    out.kernels.push_back(kernel);
    out.strides.push_back(stride);
    double finest_left = 1e300;
    for (size_t a = 0; a < kAxes; ++a)
      if (size[a] >= 2 * settings.least_edge) finest_left = std::min(finest_left, spacing[a]);
    bool halved = false;
    for (size_t a = 0; a < kAxes; ++a) {
      const bool halve = size[a] >= 2 * settings.least_edge && spacing[a] < kAlike * finest_left;
      stride[a] = halve ? 2 : 1;
      if (!halve) continue;
      size[a] = (size[a] + 1) / 2;
      spacing[a] *= 2;
      halved = true;
    }
    if (!halved) break;
  }
  out.kernels.back().assign(kAxes, 3);
  const auto divisor = total_strides(out);
  for (size_t a = 0; a < kAxes; ++a) patch[a] = (patch[a] + divisor[a] - 1) / divisor[a] * divisor[a];
  return out;
}

double training_bytes(const StagePlan& stages, const std::vector<int64_t>& patch, int64_t batch,
                      int64_t channels, int64_t classes) {
  // Kept for the gradient, for each voxel and feature: of two convolutions the output and the normalised
  // output, on the way down and on the way up; what is joined there counts double. And as much again while
  // gradients flow.
  constexpr double kMapsDown = 4, kMapsUp = 7, kGradients = 1.3, kFloat = 4;
  constexpr double kWeightCopies = 4;  // weight, gradient, momentum, the convolution's own order of them
  double maps = static_cast<double>(channels) * voxels_of(patch), weights = 0, voxels = voxels_of(patch);
  int64_t before = channels;
  for (size_t s = 0; s < stages.features.size(); ++s) {
    for (const int64_t stride : stages.strides[s]) voxels /= static_cast<double>(stride);
    const auto features = static_cast<double>(stages.features[s]);
    const bool last = s + 1 == stages.features.size();
    maps += voxels *
            (features * (kMapsDown + (last ? 0 : kMapsUp)) + (last ? 0 : 3 * static_cast<double>(classes)));
    weights += voxels_of(stages.kernels[s]) *
               (static_cast<double>(before) * features + features * features * (last ? 1 : 4));
    before = stages.features[s];
  }
  return kFloat * (kGradients * static_cast<double>(batch) * maps + kWeightCopies * weights);
}

PlannedExperiment plan_experiment(const Fingerprint& fingerprint, int64_t classes,
                                  const PlannerSettings& settings) {
  require(!fingerprint.cases.empty(), "plan: the fingerprint holds no case");
  PlannedExperiment out;
  out.spacing_mm = target_spacing(fingerprint);
  double all_voxels = 0;
  for (size_t a = 0; a < kAxes; ++a)
    out.median_size.push_back(std::max<int64_t>(
        1, std::lround(point(over_cases(fingerprint,
                                        [&](const auto& c) {
                                          return double(c.size[a]) * c.spacing_mm[a] / out.spacing_mm[a];
                                        }),
                             0.5))));
  all_voxels = voxels_of(out.median_size) * static_cast<double>(fingerprint.cases.size());
  const auto channels = std::max<int64_t>(1, static_cast<int64_t>(fingerprint.channels.size()));
  const double budget = settings.memory_gib * double(int64_t{1} << 30);
  const auto bytes = [&](int64_t batch) {
    return training_bytes(out.stages, out.patch, batch, channels, classes);
  };
  for (out.patch = first_patch(out.spacing_mm, out.median_size);;) {
    out.stages = plan_stages(out.patch, out.spacing_mm, settings);
    if (bytes(settings.least_batch) <= budget) break;
    // The axis that is longest beside the median case loses one step of its grid of divisible edges.
    const auto divisor = total_strides(out.stages);
    size_t longest = kAxes;
    for (size_t a = 0; a < kAxes; ++a) {
      if (out.patch[a] - divisor[a] < 2 * settings.least_edge) continue;
      const auto share = [&](size_t axis) { return double(out.patch[axis]) / double(out.median_size[axis]); };
      if (longest == kAxes || share(a) > share(longest)) longest = a;
    }
    require(longest < kAxes, "plan: ", settings.memory_gib, " GiB do not hold a step of ",
            settings.least_batch, " patches of ", out.patch[0], "x", out.patch[1], "x", out.patch[2],
            " voxels");
    out.patch[longest] -= divisor[longest];
  }
  int64_t batch = settings.least_batch;
  const double most = std::max(double(batch), kDataShare * all_voxels / voxels_of(out.patch));
  while (bytes(batch + 1) <= budget && static_cast<double>(batch + 1) <= most) ++batch;
  out.batch = batch;
  out.step_gib = bytes(batch) / double(int64_t{1} << 30);
  return out;
}

}  // namespace mambaseg
