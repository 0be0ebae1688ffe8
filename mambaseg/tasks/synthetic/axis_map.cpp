#include "mambaseg/tasks/synthetic/axis_map.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace mambaseg {
namespace {

/// Weights of whole-number places from x - reach to x + reach, moved into 0..size-1 where they lie outside.
class WeightRow {
 public:
  WeightRow(AxisMap& map, int64_t x) : map_(map), x_(x) {}
  void add(int64_t place, double weight) {
    const int64_t inside = std::clamp<int64_t>(place, 0, map_.in - 1);
    const int64_t tap = inside - map_.first[static_cast<size_t>(x_)];
    assert(tap >= 0 && tap < map_.taps);
    map_.weights[static_cast<size_t>(x_ * map_.taps + tap)] += static_cast<float>(weight);
  }

 private:
  AxisMap& map_;
  int64_t x_;
};

AxisMap empty_map(int64_t in, int64_t out, int64_t taps) {
  AxisMap map;
  map.in = in;
  map.taps = std::min(taps, in);
  map.first.resize(static_cast<size_t>(out));
  map.weights.resize(static_cast<size_t>(out * map.taps));
  return map;
}

int64_t measured_count(int64_t size, double spacing) {
  return std::max<int64_t>(1, std::llround(std::ceil(static_cast<double>(size) / spacing)));
}

/// Where the centre of measured voxel n lies.
double measured_place(int64_t n, double spacing, double phase) {
  return (static_cast<double>(n) + phase) * spacing;
}

/// Integral of a box of `width` blurred by a normal curve, from minus infinity to x.
double profile_integral(double x, double width, double deviation) {
  if (deviation < 1e-3) return std::clamp(x / width + 0.5, 0.0, 1.0);
  // The integral of the error function in closed form.
  const auto antiderivative = [deviation](double y) {
    const double z = y / (std::sqrt(2.0) * deviation);
    return 0.5 * y * std::erf(z) + deviation * 0.3989422804014327 * std::exp(-z * z);
  };
  return 0.5 + (antiderivative(x + 0.5 * width) - antiderivative(x - 0.5 * width)) / width;
}

}  // namespace

AxisMap measuring(int64_t size, double spacing, double width, double deviation, double phase) {
  const auto reach = static_cast<int64_t>(std::ceil(0.5 * width + 3 * deviation)) + 1;
  AxisMap map = empty_map(size, measured_count(size, spacing), 2 * reach + 1);
  for (int64_t n = 0; n < map.out(); ++n) {
    const double centre = measured_place(n, spacing, phase);
    const int64_t middle = std::llround(centre);
    map.first[static_cast<size_t>(n)] =
        std::clamp<int64_t>(middle - reach, 0, std::max<int64_t>(0, size - map.taps));
    WeightRow row(map, n);
    double below = 0;
    for (int64_t place = middle - reach; place <= middle + reach; ++place) {
      const double upto = place == middle + reach
                              ? 1
                              : profile_integral(static_cast<double>(place) + 0.5 - centre, width, deviation);
      row.add(place, upto - below);
      below = upto;
    }
  }
  return map;
}

AxisMap interpolating(int64_t size, double spacing, double phase) {
  const int64_t measured = measured_count(size, spacing);
  AxisMap map = empty_map(measured, size, 2);
  for (int64_t x = 0; x < size; ++x) {
    const double place = static_cast<double>(x) / spacing - phase;
    const double below = std::floor(place);
    map.first[static_cast<size_t>(x)] =
        std::clamp<int64_t>(static_cast<int64_t>(below), 0, std::max<int64_t>(0, measured - map.taps));
    WeightRow row(map, x);
    row.add(static_cast<int64_t>(below), 1 - (place - below));
    row.add(static_cast<int64_t>(below) + 1, place - below);
  }
  return map;
}

void apply_along(int axis, const AxisMap& map, Index3& size, std::vector<float>& image) {
  assert(size[axis] == map.in);
  int64_t outer = 1, inner = 1;
  for (int a = 0; a < axis; ++a) outer *= size[a];
  for (int a = axis + 1; a < 3; ++a) inner *= size[a];
  const int64_t out = map.out();
  std::vector<float> result(static_cast<size_t>(outer * out * inner));
  for (int64_t o = 0; o < outer; ++o) {
    const float* block = image.data() + o * map.in * inner;
    for (int64_t x = 0; x < out; ++x) {
      float* to = result.data() + (o * out + x) * inner;
      const float* weights = map.weights.data() + x * map.taps;
      const float* from = block + map.first[static_cast<size_t>(x)] * inner;
      if (inner == 1) {
        float sum = 0;
        for (int64_t t = 0; t < map.taps; ++t) sum += weights[t] * from[t];
        *to = sum;
        continue;
      }
      for (int64_t t = 0; t < map.taps; ++t) {
        if (weights[t] == 0) continue;
        const float weight = weights[t];
        const float* line = from + t * inner;
        for (int64_t i = 0; i < inner; ++i) to[i] += weight * line[i];
      }
    }
  }
  image = std::move(result);
  size[axis] = out;
}

}  // namespace mambaseg
