#include "mambaseg/tasks/volumes/augment.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "mambaseg/core/ignored_class.h"
#include "mambaseg/data/rotation.h"

namespace mambaseg {

PatchTransform draw_transform(const AugmentSettings& settings, const Index3& patch, Random& random,
                              TransformOf what) {
  const bool volumes = what == TransformOf::volumes;
  const int axes = volumes ? 3 : 2;  // that move
  PatchTransform out;
  for (size_t a = 0; a < 3; ++a) {
    const bool flip = random.coin(a < settings.flip.size() ? settings.flip[a] : 0);
    out.flip[a] = flip;
  }
  const double limit = settings.rotation_degrees * std::numbers::pi / 180;
  const auto rotate = [&] {
    for (int a = volumes ? 0 : 2; a < 3; ++a)
      out.matrix = product(out.matrix, rotation(a, random.uniform(-limit, limit)));
    out.resample = true;
  };
  if (!random.coin(settings.spatial)) {
    if (settings.rotation > 0 && random.coin(settings.rotation)) rotate();
    if (settings.scaling > 0 && random.coin(settings.scaling)) {
      // The patch shows more of the case where things are to look smaller.
      const double factor = random.uniform(settings.scaling_range.at(0), settings.scaling_range.at(1));
      for (int a = 0; a < axes; ++a)
        for (double& entry : out.matrix[a]) entry /= factor;
      out.resample = true;
    }
    return out;
  }
  rotate();
  Matrix3 scaling{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  for (int a = 0; a < axes; ++a) scaling[a][a] = std::exp(random.uniform(-settings.scale, settings.scale));
  out.matrix = product(out.matrix, scaling);
  if (settings.elastic_voxels <= 0) return out;
  out.elastic_size = {2, 2, 2};
  for (int a = 0; a < axes; ++a)
    out.elastic_size[a] = 2 + static_cast<int64_t>(static_cast<double>(patch[a]) / settings.elastic_spacing);
  const int64_t count = out.elastic_size[0] * out.elastic_size[1] * out.elastic_size[2];
  for (int64_t i = 0; i < count; ++i) {
    if (!volumes && i % 2 == 1) {  // the last slice as the first
      out.elastic.push_back(out.elastic.back());
      continue;
    }
    Vector3 displacement{0, 0, 0};
    for (int a = 0; a < axes; ++a) displacement[a] = settings.elastic_voxels * random.normal();
    out.elastic.push_back(displacement);
  }
  return out;
}

void augment_intensity(const AugmentSettings& settings, torch::Tensor& image_CIJK, Random& random) {
  augment_as_nnunet(settings.nnunet, image_CIJK, random);
  const bool change = random.coin(settings.intensity);
  const double noise = settings.noise > 0 ? random.uniform(0, settings.noise) : 0;
  if (!change && noise == 0) return;
  const int64_t voxels = image_CIJK.numel() / image_CIJK.size(0);
  for (int64_t c = 0; c < image_CIJK.size(0); ++c) {
    float* v = image_CIJK.data_ptr<float>() + c * voxels;
    if (change) {
      const double gain = 1 + random.uniform(-settings.contrast, settings.contrast);
      const double shift = random.uniform(-settings.brightness, settings.brightness);
      const double power = std::exp(random.uniform(-settings.gamma, settings.gamma));
      const auto [low, high] = std::minmax_element(v, v + voxels);
      const double base = *low, range = *high - *low;
      for (int64_t i = 0; i < voxels && range > 0; ++i)
        if (v[i] != 0)
          v[i] = static_cast<float>(gain * (base + range * std::pow((v[i] - base) / range, power)) + shift);
    }
    for (int64_t i = 0; i < voxels && noise > 0; ++i)
      if (v[i] != 0) v[i] += static_cast<float>(noise * random.normal());
  }
}

std::vector<int64_t> swap_table(const AugmentSettings& settings, const Plan& plan) {
  std::vector<int64_t> table(plan.classes.size() + 1);
  std::iota(table.begin(), table.end(), 0);
  const auto number_of = [&](const std::string& name) {
    for (size_t k = 0; k < plan.classes.size(); ++k)
      if (plan.classes[k].name == name) return k + 1;
    throw UsageError(concat("setting augment.swap_classes: no class of the plan is called \"", name, "\""));
  };
  if (!settings.swap_classes.empty() && !plan.regions_class_order.empty())
    throw UsageError("setting augment.swap_classes: not for regions (plan.regions_class_order)");
  for (const auto& pair : settings.swap_classes) {
    if (pair.size() != 2) throw UsageError("setting augment.swap_classes: expected pairs of class names");
    std::swap(table[number_of(pair[0])], table[number_of(pair[1])]);
  }
  return table;
}

std::vector<int64_t> swap_of_every_class(const AugmentSettings& settings, const Plan& plan) {
  std::vector<int64_t> table = swap_table(settings, plan);
  for (auto k = static_cast<int64_t>(table.size()); k <= kIgnoredClass; ++k) table.push_back(k);
  return table;
}

}  // namespace mambaseg
