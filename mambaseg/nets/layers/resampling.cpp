#include "mambaseg/nets/layers/resampling.h"

#include <cmath>

#include "mambaseg/ops/ordered_gradients.h"
#include "mambaseg/ops/pooling.h"

namespace mambaseg {

torch::Tensor HalvingMaxPool::forward(const torch::Tensor& x) { return halved_by_max(x); }

torch::Tensor NearestDoubling::forward(const torch::Tensor& x) {
  return nearest_upsampled(x, cube(x.dim() - 2, 2));
}

torch::Tensor average_pooled(const torch::Tensor& x, const Extent& stride) {
  if (stride.size() == 2) return torch::avg_pool2d(x, stride, stride);
  if (needs_ordered_gradients(x)) return average_pooled_in_order(x, stride);
  // LibTorch averages no volume of 16-bit numbers on the CPU.
  const bool widen = x.is_cpu() && x.element_size() < 4;
  return torch::avg_pool3d(widen ? x.to(torch::kFloat32) : x, stride, stride).to(x.scalar_type());
}

torch::Tensor nearest_upsampled(const torch::Tensor& x, const Extent& factor) {
  Extent sizes = spatial_size(x);
  for (size_t axis = 0; axis < sizes.size(); ++axis) sizes[axis] *= factor[axis];
  return sizes.size() == 2 ? torch::upsample_nearest2d(x, sizes) : torch::upsample_nearest3d(x, sizes);
}

torch::Tensor linear_resized(const torch::Tensor& x, const Extent& size, bool align_corners) {
  if (needs_ordered_gradients(x)) return linear_resized_in_order(x, size, align_corners);
  // LibTorch 1.13 interpolates no volume of 16-bit numbers on the CPU.
  const bool widen = size.size() == 3 && x.element_size() < 4;
  const torch::Tensor wide = widen ? x.to(torch::kFloat) : x;
  return (size.size() == 2 ? torch::upsample_bilinear2d(wide, size, align_corners)
                           : torch::upsample_trilinear3d(wide, size, align_corners))
      .to(x.scalar_type());
}

torch::Tensor linear_upsampled(const torch::Tensor& x, int64_t factor, bool align_corners) {
  Extent sizes = spatial_size(x);
  for (int64_t& size : sizes) size *= factor;
  return linear_resized(x, sizes, align_corners);
}

torch::Tensor folded(const torch::Tensor& x, int64_t factor) {
  const int64_t dims = x.dim() - 2;
  Extent split{x.size(0), x.size(1)}, order{0, 1}, merged{x.size(0), -1};
  for (int64_t axis = 0; axis < dims; ++axis) {
    split.insert(split.end(), {x.size(2 + axis) / factor, factor});
    order.push_back(3 + 2 * axis);
    merged.push_back(x.size(2 + axis) / factor);
  }
  for (int64_t axis = 0; axis < dims; ++axis) order.push_back(2 + 2 * axis);
  return x.reshape(split).permute(order).reshape(merged);
}

torch::Tensor unfolded(const torch::Tensor& x, int64_t factor) {
  const int64_t dims = x.dim() - 2;
  Extent split{x.size(0), -1}, order{0, 1}, merged{x.size(0), -1};
  split.insert(split.end(), dims, factor);
  for (int64_t axis = 0; axis < dims; ++axis) {
    split.push_back(x.size(2 + axis));
    order.insert(order.end(), {2 + dims + axis, 2 + axis});
    merged.push_back(x.size(2 + axis) * factor);
  }
  split[1] = x.size(1) / static_cast<int64_t>(std::pow(factor, dims));
  merged[1] = split[1];
  return x.reshape(split).permute(order).reshape(merged);
}

Extent spatial_size(const torch::Tensor& x) { return x.sizes().slice(2).vec(); }

}  // namespace mambaseg
