#include "mambaseg/tasks/synthetic/smooth_field.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "mambaseg/data/interpolate.h"

namespace mambaseg {
namespace {

/// out = sum of four lines, `stride` apart from `lines` on, times their weights.
void weighted_lines(const float* lines, int64_t stride, const std::array<float, 4>& weights,
                    std::vector<float>& out) {
  const float *a = lines, *b = a + stride, *c = b + stride, *d = c + stride;
  for (size_t x = 0; x < out.size(); ++x)
    out[x] = weights[0] * a[x] + weights[1] * b[x] + weights[2] * c[x] + weights[3] * d[x];
}

}  // namespace

SmoothField::SmoothField(const Vector3& low, const Vector3& high, double spacing, Random& random)
    : low_(low), spacing_(spacing) {
  // The mean over all places of the sum of squared spline weights is 151 / 315 along each axis.
  const double scale = std::pow(315.0 / 151.0, 1.5);
  for (int a = 0; a < 3; ++a)
    nodes_[a] = static_cast<int64_t>(std::ceil(std::max(0.0, high[a] - low[a]) / spacing)) + 4;
  coefficients_.resize(static_cast<size_t>(nodes_[0] * nodes_[1] * nodes_[2]));
  for (float& c : coefficients_) c = static_cast<float>(scale * random.normal());
}

FieldRows::FieldRows(const SmoothField& field, const Lattice& lattice) : field_(field) {
  for (int a = 0; a < 3; ++a) {
    places_[a].resize(static_cast<size_t>(lattice.size[a]));
    for (int64_t x = 0; x < lattice.size[a]; ++x) {
      const double place = (lattice.at(a, x) - field.low_[a]) / field.spacing_;
      const double below = std::clamp(std::floor(place), 0.0, static_cast<double>(field.nodes_[a] - 4));
      assert(place > -1e-6 && place < static_cast<double>(field.nodes_[a] - 3) + 1e-6);
      Place& out = places_[a][static_cast<size_t>(x)];
      out.node = static_cast<int64_t>(below);
      const auto weights = cubic_spline_weights(place - below);
      std::copy(weights.begin(), weights.end(), out.weights.begin());
    }
  }
  plane_.resize(static_cast<size_t>(field.nodes_[1] * field.nodes_[2]));
  line_.resize(static_cast<size_t>(field.nodes_[2]));
  row_.resize(static_cast<size_t>(lattice.size[2]));
}

const float* FieldRows::row(int64_t i, int64_t j) {
  if (i != plane_at_) {
    const Place& at = places_[0][static_cast<size_t>(i)];
    const auto stride = static_cast<int64_t>(plane_.size());
    weighted_lines(field_.coefficients_.data() + at.node * stride, stride, at.weights, plane_);
    plane_at_ = i;
  }
  const Place& at = places_[1][static_cast<size_t>(j)];
  const auto stride = static_cast<int64_t>(line_.size());
  weighted_lines(plane_.data() + at.node * stride, stride, at.weights, line_);
  const Place* places = places_[2].data();
  for (size_t k = 0; k < row_.size(); ++k) {
    const float* c = line_.data() + places[k].node;
    const auto& w = places[k].weights;
    row_[k] = w[0] * c[0] + w[1] * c[1] + w[2] * c[2] + w[3] * c[3];
  }
  return row_.data();
}

}  // namespace mambaseg
