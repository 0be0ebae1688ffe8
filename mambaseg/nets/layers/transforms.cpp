#include "mambaseg/nets/layers/transforms.h"

#include <cmath>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

using torch::Tensor;

/// The matrix of the DCT-II of `length` numbers: rows are frequencies.
Tensor cosine_matrix(int64_t length, torch::TensorOptions options) {
  const auto n = static_cast<double>(length);
  const Tensor places = (torch::arange(length, torch::kDouble) + 0.5) * (M_PI / n);
  Tensor matrix = std::sqrt(2 / n) * torch::outer(torch::arange(length, torch::kDouble), places).cos();
  matrix.select(0, 0).fill_(std::sqrt(1 / n));
  return matrix.to(options);
}

/// Each spatial axis times its matrix, or the transposed one.
Tensor along_axes(const Tensor& x, bool transposed) {
  Tensor y = x;
  for (int64_t axis = 2; axis < x.dim(); ++axis) {
    const Tensor matrix = cosine_matrix(x.size(axis), x.options());
    y = torch::matmul(y.movedim(axis, -1), transposed ? matrix : matrix.t()).movedim(-1, axis);
  }
  return y;
}

}  // namespace

Tensor haar(const Tensor& x) {
  std::vector<Tensor> bands{x};
  for (int64_t axis = 2; axis < x.dim(); ++axis) {
    require(x.size(axis) % 2 == 0, "haar: expected even sizes, got ", x.size(axis));
    std::vector<Tensor> sums, differences;
    for (const Tensor& band : bands) {
      const Tensor even = band.slice(axis, 0, torch::nullopt, 2),
                   odd = band.slice(axis, 1, torch::nullopt, 2);
      sums.push_back((even + odd) * M_SQRT1_2);
      differences.push_back((even - odd) * M_SQRT1_2);
    }
    bands = sums;
    bands.insert(bands.end(), differences.begin(), differences.end());
  }
  return torch::cat(bands, 1);
}

Tensor inverse_haar(const Tensor& x) {
  const int64_t count = int64_t{1} << (x.dim() - 2);
  require(x.size(1) % count == 0, "haar: expected ", count, " bands, got ", x.size(1), " channels");
  std::vector<Tensor> bands = x.chunk(count, 1);
  for (int64_t axis = x.dim() - 1; axis > 1; --axis) {
    const size_t half = bands.size() / 2;
    for (size_t i = 0; i < half; ++i) {
      const Tensor even = (bands[i] + bands[half + i]) * M_SQRT1_2,
                   odd = (bands[i] - bands[half + i]) * M_SQRT1_2;
      bands[i] = torch::stack({even, odd}, axis + 1).flatten(axis, axis + 1);
    }
    bands.resize(half);
  }
  return bands[0];
}

Tensor cosine_transform(const Tensor& x) { return along_axes(x, false); }

Tensor inverse_cosine_transform(const Tensor& x) { return along_axes(x, true); }

}  // namespace mambaseg
