#include "mambaseg/tasks/volumes/nnunet_augment.h"

#include <cmath>

#include <torch/nn/functional.h>

namespace mambaseg {
namespace {

namespace F = torch::nn::functional;

constexpr double kOfChannels = 0.5;  // share of the channels that blur and low resolution change

void add_noise(torch::Tensor& image, Random& random) {
  const double deviation = random.uniform(0, 0.1);
  auto* v = image.data_ptr<float>();
  for (int64_t i = 0; i < image.numel(); ++i) v[i] += static_cast<float>(deviation * random.normal());
}

/// Gaussian of deviation `sigma` along every axis, cut off after 4 deviations; edges repeat.
torch::Tensor blurred(const torch::Tensor& channel, double sigma) {
  const auto radius = static_cast<int64_t>(4 * sigma + 0.5);
  const auto x = torch::arange(-radius, radius + 1, torch::kFloat32);
  auto bell = torch::exp(-0.5 * x.square() / (sigma * sigma));
  bell = bell / bell.sum();
  torch::Tensor out = channel;
  for (int64_t axis = 0; axis < channel.dim(); ++axis) {
    const auto lines = out.movedim(axis, -1);
    const auto flat = lines.reshape({-1, 1, lines.size(-1)});
    const auto padded = F::pad(flat, F::PadFuncOptions({radius, radius}).mode(torch::kReplicate));
    out = torch::conv1d(padded, bell.view({1, 1, -1})).view(lines.sizes()).movedim(-1, axis);
  }
  return out;
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
    each_channel(kOfChannels, [&](torch::Tensor c) { c.copy_(blurred(c, random.uniform(0.5, 1))); });
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
