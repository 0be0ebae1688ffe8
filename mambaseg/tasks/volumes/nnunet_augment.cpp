#include "mambaseg/tasks/volumes/nnunet_augment.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <torch/nn/functional.h>

#include "mambaseg/core/quick_normals.h"

namespace mambaseg {
namespace {

namespace F = torch::nn::functional;

constexpr double kOfChannels = 0.5;  // share of the channels that blur and low resolution change

void add_noise(torch::Tensor& image, Random& random) {
  const auto deviation = static_cast<float>(random.uniform(0, 0.1));
  QuickNormals normals(random);
  auto* v = image.data_ptr<float>();
  for (int64_t i = 0; i < image.numel(); ++i) v[i] += deviation * normals.next();
}

/// out[i] = sum over t of weights[t] * from[t][i], for i < count.
void weigh(const std::vector<const float*>& from, const std::vector<float>& weights, int64_t count,
           float* out) {
  std::fill_n(out, count, 0.0f);
  for (size_t t = 0; t < weights.size(); ++t) {
    const float weight = weights[t], *values = from[t];
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) out[i] += weight * values[i];
  }
}

/// Gaussian of deviation `sigma` along every axis of `channel` (contiguous), cut off after 4 deviations;
/// edges repeat.
void blur(torch::Tensor channel, double sigma) {
  const auto radius = static_cast<int64_t>(4 * sigma + 0.5);
  std::vector<float> bell;
  for (int64_t x = -radius; x <= radius; ++x)
    bell.push_back(static_cast<float>(std::exp(-0.5 * static_cast<double>(x * x) / (sigma * sigma))));
  const float sum = std::accumulate(bell.begin(), bell.end(), 0.0f);
  for (float& weight : bell) weight /= sum;
  auto* v = channel.data_ptr<float>();
  std::vector<const float*> from(bell.size());
  std::vector<float> before;
  for (int64_t axis = 0, inner = channel.numel(); axis < channel.dim(); ++axis) {
    const int64_t n = channel.size(axis), whole = inner;  // (..., n, inner), `whole` numbers apart
    inner /= n;
    const bool last = inner == 1;
    before.resize(static_cast<size_t>(last ? n + 2 * radius : whole));
    for (float* block = v; block < v + channel.numel(); block += whole) {
      if (last) {
        std::copy_n(block, n, before.begin() + radius);
        std::fill_n(before.begin(), radius, block[0]);
        std::fill_n(before.begin() + radius + n, radius, block[n - 1]);
        for (size_t t = 0; t < bell.size(); ++t) from[t] = before.data() + t;
        weigh(from, bell, n, block);
        continue;
      }
      std::copy_n(block, whole, before.begin());
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t x = -radius; x <= radius; ++x)
          from[static_cast<size_t>(x + radius)] =
              before.data() + std::clamp<int64_t>(i + x, 0, n - 1) * inner;
        weigh(from, bell, inner, block + i * inner);
      }
    }
  }
}

/// Every so many voxels only, and linear in between.
torch::Tensor coarsened(const torch::Tensor& channel, double zoom) {
  std::vector<int64_t> small;
  for (const int64_t edge : channel.sizes())
    small.push_back(std::max<int64_t>(1, std::llround(static_cast<double>(edge) * zoom)));
  auto options = F::InterpolateFuncOptions().size(small).mode(torch::kNearest);
  const auto coarse = F::interpolate(channel.unsqueeze(0).unsqueeze(0), options);
  options.size(channel.sizes().vec()).align_corners(false);
  if (channel.dim() == 3)
    options.mode(torch::kTrilinear);
  else
    options.mode(torch::kBilinear);
  return F::interpolate(coarse, options).squeeze(0).squeeze(0);
}

void change_contrast(torch::Tensor channel, Random& random) {
  const double factor = random.uniform(0.75, 1.25);
  const auto low = channel.min(), high = channel.max(), mean = channel.mean();
  channel.copy_(torch::minimum(torch::maximum((channel - mean) * factor + mean, low), high));
}

void change_gamma(torch::Tensor channel, Random& random) {
  const double power = random.uniform(0.7, 1.5);
  const auto low = channel.min(), range = channel.max() - low;
  if (range.item<float>() == 0) return;
  const auto mean = channel.mean(), deviation = channel.std(false);
  const auto bent = ((channel - low) / range).pow(power) * range + low;
  channel.copy_((bent - bent.mean()) / bent.std(false).clamp_min(1e-8) * deviation + mean);
}

}  // namespace

void augment_as_nnunet(const NnunetAugmentSettings& settings, torch::Tensor& image, Random& random) {
  const torch::NoGradGuard no_grad;
  const auto draws = [&](double probability) { return probability > 0 && random.coin(probability); };
  const auto each_channel = [&](double share, auto&& change) {
    for (int64_t c = 0; c < image.size(0); ++c)
      if (share == 1 || random.coin(share)) change(image[c]);
  };
  if (draws(settings.noise)) add_noise(image, random);
  if (draws(settings.blur))
    each_channel(kOfChannels, [&](torch::Tensor c) { blur(c, random.uniform(0.5, 1)); });
  if (draws(settings.brightness))
    each_channel(1, [&](torch::Tensor c) { c.mul_(random.uniform(0.75, 1.25)); });
  if (draws(settings.contrast)) each_channel(1, [&](torch::Tensor c) { change_contrast(c, random); });
  if (draws(settings.low_resolution))
    each_channel(kOfChannels, [&](torch::Tensor c) { c.copy_(coarsened(c, random.uniform(0.5, 1))); });
  if (draws(settings.inverted_gamma))
    each_channel(1, [&](torch::Tensor c) {
      c.neg_();
      change_gamma(c, random);
      c.neg_();
    });
  if (draws(settings.gamma)) each_channel(1, [&](torch::Tensor c) { change_gamma(c, random); });
}

}  // namespace mambaseg
