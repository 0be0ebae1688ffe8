#include "mambaseg/tasks/volumes/training_patches.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/data/sides.h"

namespace mambaseg {
namespace {

/// Trilinear interpolation of the control points at voxel x of the patch.
Vector3 displacement_at(const PatchTransform& transform, const Index3& size, const Index3& x) {
  Vector3 out{0, 0, 0};
  std::array<int64_t, 3> cell;
  Vector3 part;
  for (int a = 0; a < 3; ++a) {
    const double place = size[a] > 1 ? static_cast<double>(x[a]) / static_cast<double>(size[a] - 1) *
                                           static_cast<double>(transform.elastic_size[a] - 1)
                                     : 0;
    cell[a] = std::min(static_cast<int64_t>(place), transform.elastic_size[a] - 2);
    part[a] = place - static_cast<double>(cell[a]);
  }
  for (int corner = 0; corner < 8; ++corner) {
    double weight = 1;
    int64_t index = 0;
    for (int a = 0; a < 3; ++a) {
      const int64_t up = corner >> a & 1;
      weight *= up ? part[a] : 1 - part[a];
      index = index * transform.elastic_size[a] + cell[a] + up;
    }
    for (int a = 0; a < 3; ++a) out[a] += weight * transform.elastic[static_cast<size_t>(index)][a];
  }
  return out;
}

/// Place in the case that voxel x of the patch shows.
Vector3 source_of(const PatchTransform& transform, const Index3& start, const Index3& size, const Index3& x) {
  Vector3 out, from_centre;
  for (int a = 0; a < 3; ++a) {
    const double centre = 0.5 * static_cast<double>(size[a] - 1);
    from_centre[a] = (static_cast<double>(x[a]) - centre) * (transform.flip[a] ? -1 : 1);
    out[a] = static_cast<double>(start[a]) + centre;
  }
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) out[a] += transform.matrix[a][b] * from_centre[b];
  if (!transform.elastic.empty()) {
    const Vector3 moved = displacement_at(transform, size, x);
    for (int a = 0; a < 3; ++a) out[a] += moved[a];
  }
  return out;
}

template <class T>
float trilinear(const T* values, const Index3& size, const Vector3& place) {
  std::array<int64_t, 3> cell;
  std::array<float, 3> part;
  for (int a = 0; a < 3; ++a) {
    if (!(place[a] > -1 && place[a] < static_cast<double>(size[a]))) return 0;
    const double below = std::floor(place[a]);
    cell[a] = static_cast<int64_t>(below);
    part[a] = static_cast<float>(place[a] - below);
  }
  float sum = 0;
  for (int corner = 0; corner < 8; ++corner) {
    float weight = 1;
    int64_t index = 0;
    bool inside = true;
    for (int a = 0; a < 3; ++a) {
      const int64_t up = corner >> a & 1, at = cell[a] + up;
      weight *= up ? part[a] : 1 - part[a];
      inside = inside && at >= 0 && at < size[a];
      index = index * size[a] + at;
    }
    if (inside && weight > 0) sum += weight * static_cast<float>(values[index]);
  }
  return sum;
}

int64_t nearest(const uint8_t* values, const Index3& size, const Vector3& place) {
  int64_t index = 0;
  for (int a = 0; a < 3; ++a) {
    const double rounded = std::floor(place[a] + 0.5);
    if (!(rounded >= 0 && rounded < static_cast<double>(size[a]))) return 0;
    index = index * size[a] + static_cast<int64_t>(rounded);
  }
  return values[index];
}

template <class T>
void resample(const PreparedCase& one, const T* values, const Index3& start, const Index3& size,
              const PatchTransform& transform, Sample& out) {
  const Index3 whole = one.size();
  const int64_t channels = one.image_CIJK.size(0), case_voxels = whole[0] * whole[1] * whole[2];
  const int64_t patch_voxels = size[0] * size[1] * size[2];
  auto* image = out.image.data_ptr<float>();
  auto* classes = out.classes.data_ptr<int64_t>();
  const auto* labels = one.classes_IJK.data_ptr<uint8_t>();
  int64_t at = 0;
  for (int64_t i = 0; i < size[0]; ++i)
    for (int64_t j = 0; j < size[1]; ++j)
      for (int64_t k = 0; k < size[2]; ++k, ++at) {
        const Vector3 place = source_of(transform, start, size, {i, j, k});
        classes[at] = nearest(labels, whole, place);
        for (int64_t c = 0; c < channels; ++c)
          image[c * patch_voxels + at] = one.scale * trilinear(values + c * case_voxels, whole, place);
      }
}

}  // namespace

Sample cut_patch(const PreparedCase& one, const Index3& start, const Index3& size,
                 const PatchTransform& transform, int side_axis, const std::vector<int64_t>& swapped) {
  const int64_t channels = one.image_CIJK.size(0);
  Sample out;
  if (transform.resample) {
    out.image = torch::empty({channels, size[0], size[1], size[2]}, torch::kFloat32);
    out.classes = torch::empty({size[0], size[1], size[2]}, torch::kInt64);
    if (one.image_CIJK.scalar_type() == torch::kUInt8)
      resample(one, one.image_CIJK.data_ptr<uint8_t>(), start, size, transform, out);
    else if (one.image_CIJK.scalar_type() == torch::kFloat16)
      resample(one, one.image_CIJK.data_ptr<at::Half>(), start, size, transform, out);
    else
      resample(one, one.image_CIJK.data_ptr<float>(), start, size, transform, out);
  } else {
    auto image = one.image_CIJK;
    auto classes = one.classes_IJK;
    std::vector<int64_t> flipped;
    for (int a = 0; a < 3; ++a) {
      image = image.narrow(a + 1, start[a], size[a]);
      classes = classes.narrow(a, start[a], size[a]);
      if (transform.flip[a]) flipped.push_back(a);
    }
    classes = torch::flip(classes, flipped);
    for (int64_t& axis : flipped) ++axis;
    out.image = (torch::flip(image, flipped).to(torch::kFloat32) * one.scale).contiguous();
    out.classes = classes.to(torch::kInt64).contiguous();
  }
  if (transform.flip[static_cast<size_t>(side_axis)]) {
    auto* classes = out.classes.data_ptr<int64_t>();
    for (int64_t i = 0; i < out.classes.numel(); ++i) classes[i] = swapped[static_cast<size_t>(classes[i])];
  }
  return out;
}

PatchSampler::PatchSampler(const PreparedCase& one, const SamplingSettings& sampling,
                           const AugmentSettings& augment, const Plan& plan)
    : case_(one),
      augment_(augment),
      size_{plan.patch[0], plan.patch[1], plan.patch[2]},
      side_axis_(left_right_axis(plan.orientation)),
      swapped_(swap_of_every_class(augment, plan)),
      positions_(one, sampling, size_, plan) {}

int64_t PatchSampler::bytes() const {
  return bytes_of_sample(case_.image_CIJK.size(0), size_[0] * size_[1] * size_[2]);
}

Sample PatchSampler::draw(int64_t patch, Random random) const {
  const Index3 start = positions_.start(patch, random);
  const PatchTransform transform = draw_transform(augment_, size_, random);
  Sample out = cut_patch(case_, start, size_, transform, side_axis_, swapped_);
  augment_intensity(augment_, out.image, random);
  return out;
}

}  // namespace mambaseg
