#include "mambaseg/tasks/volumes/training_patches.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/data/sides.h"

namespace mambaseg {
namespace {

/// Between which control points voxel x of `size` along an axis lies, and how far behind the first.
std::pair<int64_t, double> control_cell(int64_t x, int64_t size, int64_t points) {
  const double place =
      size > 1 ? static_cast<double>(x) / static_cast<double>(size - 1) * static_cast<double>(points - 1) : 0;
  const int64_t cell = std::min(static_cast<int64_t>(place), points - 2);
  return {cell, place - static_cast<double>(cell)};
}

/// Where in the case the voxels of a patch lie, row by row along its last axis.
class RowsOfPlaces {
 public:
  RowsOfPlaces(const PatchTransform& transform, const Index3& start, const Index3& size)
      : transform_(transform), size_(size) {
    for (int a = 0; a < 3; ++a) {
      const double centre = 0.5 * static_cast<double>(size[a] - 1);
      origin_[a] = static_cast<double>(start[a]) + centre;
      for (int b = 0; b < 3; ++b) {
        steps_[a][b] = transform.matrix[a][b] * (transform.flip[b] ? -1 : 1);
        origin_[a] -= steps_[a][b] * 0.5 * static_cast<double>(size[b] - 1);
      }
      row_[a].resize(static_cast<size_t>(size[2]));
    }
    if (transform.elastic.empty()) return;
    control_.resize(static_cast<size_t>(transform.elastic_size[2]));
    for (int64_t k = 0; k < size[2]; ++k)
      cells_.push_back(control_cell(k, size[2], transform.elastic_size[2]));
  }

  /// Those of the row (i, j): along axis a of the case voxel k lies at (*this)[a][k].
  void go_to(int64_t i, int64_t j) {
    for (int a = 0; a < 3; ++a) {
      const double begin =
          origin_[a] + steps_[a][0] * static_cast<double>(i) + steps_[a][1] * static_cast<double>(j);
      for (size_t k = 0; k < row_[a].size(); ++k) row_[a][k] = begin + steps_[a][2] * static_cast<double>(k);
    }
    if (!transform_.elastic.empty()) displace(i, j);
  }
  const double* operator[](int axis) const { return row_[axis].data(); }

 private:
  /// Trilinear interpolation of the control points: along the first two axes for the row, then within it.
  void displace(int64_t i, int64_t j) {
    const Index3& points = transform_.elastic_size;
    const auto [ci, pi] = control_cell(i, size_[0], points[0]);
    const auto [cj, pj] = control_cell(j, size_[1], points[1]);
    for (int a = 0; a < 3; ++a) {
      for (int64_t k = 0; k < points[2]; ++k) {
        const auto at = [&](int64_t di, int64_t dj) {
          const int64_t index = ((ci + di) * points[1] + cj + dj) * points[2] + k;
          return transform_.elastic[static_cast<size_t>(index)][a];
        };
        control_[static_cast<size_t>(k)] =
            (1 - pi) * ((1 - pj) * at(0, 0) + pj * at(0, 1)) + pi * ((1 - pj) * at(1, 0) + pj * at(1, 1));
      }
      for (size_t k = 0; k < cells_.size(); ++k) {
        const auto& [cell, part] = cells_[k];
        const auto c = static_cast<size_t>(cell);
        row_[a][k] += (1 - part) * control_[c] + part * control_[c + 1];
      }
    }
  }

  const PatchTransform& transform_;
  Index3 size_;
  Vector3 origin_{0, 0, 0};
  std::array<Vector3, 3> steps_{};
  std::array<std::vector<double>, 3> row_;
  std::vector<double> control_;                    // of a row, along its axis
  std::vector<std::pair<int64_t, double>> cells_;  // of its voxels
};

template <class T>
float trilinear_at_border(const T* values, const Index3& size, const Vector3& place) {
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

template <class T>
float trilinear(const T* values, const Index3& size, const Vector3& place) {
  std::array<int64_t, 3> cell;
  std::array<float, 3> part;
  for (int a = 0; a < 3; ++a) {
    if (!(place[a] >= 0 && place[a] < static_cast<double>(size[a] - 1)))
      return trilinear_at_border(values, size, place);
    cell[a] = static_cast<int64_t>(place[a]);
    part[a] = static_cast<float>(place[a] - static_cast<double>(cell[a]));
  }
  const T* v = values + (cell[0] * size[1] + cell[1]) * size[2] + cell[2];
  const auto along_row = [&](const T* pair) {
    const auto low = static_cast<float>(pair[0]);
    return low + part[2] * (static_cast<float>(pair[1]) - low);
  };
  const auto in_plane = [&](const T* rows) {
    const float low = along_row(rows);
    return low + part[1] * (along_row(rows + size[2]) - low);
  };
  const float low = in_plane(v);
  return low + part[0] * (in_plane(v + size[1] * size[2]) - low);
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
  RowsOfPlaces places(transform, start, size);
  int64_t at = 0;
  for (int64_t row = 0; row < size[0] * size[1]; ++row) {
    places.go_to(row / size[1], row % size[1]);
    for (int64_t k = 0; k < size[2]; ++k, ++at) {
      const Vector3 place{places[0][k], places[1][k], places[2][k]};
      classes[at] = nearest(labels, whole, place);
      for (int64_t c = 0; c < channels; ++c)
        image[c * patch_voxels + at] = one.scale * trilinear(values + c * case_voxels, whole, place);
    }
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
