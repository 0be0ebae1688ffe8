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

torch::Tensor tensor_from_volume(const Volume<float>& volume) { return to_tensor(volume, torch::kFloat32); }
torch::Tensor tensor_from_volume(const Volume<int32_t>& volume) { return to_tensor(volume, torch::kInt64); }

Volume<int32_t> labels_from_tensor(const torch::Tensor& values_ijk, const Geometry& geometry) {
  return from_tensor<int32_t>(values_ijk, geometry);
}

Volume<float> volume_from_tensor(const torch::Tensor& values_ijk, const Geometry& geometry) {
  return from_tensor<float>(values_ijk, geometry);
}

}  // namespace mambaseg
