#include "mambaseg/data/tensor_volume.h"

#include <algorithm>

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

template <class T>
torch::Tensor to_tensor(const Volume<T>& volume, torch::ScalarType type) {
  const Index3& n = volume.geometry.size;
  const auto view_KJI = torch::from_blob(const_cast<T*>(volume.voxels.data()), {n[2], n[1], n[0]},
                                         torch::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value));
  auto out = torch::empty({n[0], n[1], n[2]}, torch::TensorOptions().dtype(type));
  return out.copy_(view_KJI.permute({2, 1, 0}));
}

template <class T>
Volume<T> from_tensor(const torch::Tensor& values_ijk, const Geometry& geometry) {
  require(values_ijk.dim() == 3 && values_ijk.size(0) == geometry.size[0] &&
              values_ijk.size(1) == geometry.size[1] && values_ijk.size(2) == geometry.size[2],
          "volume from tensor: the tensor has sizes ", values_ijk.sizes(), ", the grid ", describe(geometry));
  Volume<T> out(geometry);
  auto view_KJI = torch::from_blob(out.voxels.data(), {geometry.size[2], geometry.size[1], geometry.size[0]},
                                   torch::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value));
  view_KJI.copy_(values_ijk.detach().permute({2, 1, 0}));
  return out;
}

}  // namespace

template <class T>
void copy_slice(const Volume<T>& volume, const Box& box, int64_t j, T* out, int64_t row) {
  constexpr int64_t kTile = 16;  // voxels, of which rows and columns stay in the cache
  const Index3& n = volume.geometry.size;
  const int64_t y = box.start[1] + j, step = n[0] * n[1];
  if (y < 0 || y >= n[1]) return;
  const T* const from = volume.voxels.data() + y * n[0];
  const int64_t x_end = std::min(box.end(0), n[0]), z_end = std::min(box.end(2), n[2]);
  for (int64_t z0 = std::max<int64_t>(box.start[2], 0); z0 < z_end; z0 += kTile)
    for (int64_t x0 = std::max<int64_t>(box.start[0], 0); x0 < x_end; x0 += kTile)
      for (int64_t x = x0; x < std::min(x0 + kTile, x_end); ++x)
        for (int64_t z = z0; z < std::min(z0 + kTile, z_end); ++z)
          out[(x - box.start[0]) * row + z - box.start[2]] = from[x + z * step];
}

template void copy_slice(const Volume<uint8_t>&, const Box&, int64_t, uint8_t*, int64_t);
template void copy_slice(const Volume<float>&, const Box&, int64_t, float*, int64_t);

torch::Tensor tensor_from_volume(const Volume<float>& volume) { return to_tensor(volume, torch::kFloat32); }
torch::Tensor tensor_from_volume(const Volume<int32_t>& volume) { return to_tensor(volume, torch::kInt64); }

Volume<int32_t> labels_from_tensor(const torch::Tensor& values_ijk, const Geometry& geometry) {
  return from_tensor<int32_t>(values_ijk, geometry);
}

Volume<float> volume_from_tensor(const torch::Tensor& values_ijk, const Geometry& geometry) {
  return from_tensor<float>(values_ijk, geometry);
}

}  // namespace mambaseg
