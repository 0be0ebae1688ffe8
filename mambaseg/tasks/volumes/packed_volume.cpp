#include "mambaseg/tasks/volumes/packed_volume.h"

#include <algorithm>
#include <cmath>

#include "mambaseg/data/tensor_volume.h"

namespace mambaseg {
namespace {

/// What decides about the type of a prepared image.
struct Values {
  bool bytes = true;  ///< all are multiples of 1/255 from 0 to 1
  float largest = 0;  ///< of their sizes

  void add(const float* row, int64_t count) {
    float high = 0;
#pragma omp simd reduction(max : high)
    for (int64_t i = 0; i < count; ++i) high = std::max(high, std::abs(row[i]));
    largest = std::max(largest, high);
    bytes = bytes && largest < 2 && are_bytes(row, count);
  }

 private:
  static bool are_bytes(const float* row, int64_t count) {
    constexpr float kRounds = 0x1.8p23f;  // added to a small number, leaves the nearest whole one
    float off = 0, low = 0, high = 0;
#pragma omp simd reduction(max : off, high) reduction(min : low)
    for (int64_t i = 0; i < count; ++i) {
      const float byte = row[i] * 255, whole = (byte + kRounds) - kRounds;
      off = std::max(off, std::abs(whole - byte));
      low = std::min(low, whole);
      high = std::max(high, whole);
    }
    return off < 1e-3f && low >= 0 && high <= 255;
  }
};

void add(Values& values, const Volume<float>& volume, const Box& box) {
  const Index3& n = volume.geometry.size;
  Index3 begin{}, end{};
  for (int axis = 0; axis < 3; ++axis) {
    begin[axis] = std::clamp<int64_t>(box.start[axis], 0, n[axis]);
    end[axis] = std::clamp<int64_t>(box.end(axis), begin[axis], n[axis]);
  }
  for (int64_t k = begin[2]; k < end[2]; ++k)
    for (int64_t j = begin[1]; j < end[1]; ++j)
      values.add(volume.voxels.data() + begin[0] + n[0] * (j + n[1] * k), end[0] - begin[0]);
}

torch::ScalarType type_for(const Values& values) {
  constexpr float kLargestHalf = 1024;
  if (values.bytes) return torch::kUInt8;
  return values.largest < kLargestHalf ? torch::kFloat16 : torch::kFloat32;
}

}  // namespace

torch::Tensor packed_image(const PreparedImage& image, const Box& box, float& scale) {
  std::vector<const Volume<float>*> channels{&image.image};
  for (const Volume<float>& channel : image.further) channels.push_back(&channel);
  Values values;
  for (const Volume<float>* channel : channels) add(values, *channel, box);
  const torch::ScalarType type = type_for(values);
  const bool bytes = type == torch::kUInt8;
  scale = bytes ? 1.0f / 255 : 1.0f;
  const auto& [x, y, z] = box.size;
  torch::Tensor out_CIJK = torch::empty({static_cast<int64_t>(channels.size()), x, y, z}, type);
  torch::Tensor slice_IK = torch::empty({x, z});  // stays in the cache
  for (size_t c = 0; c < channels.size(); ++c)
    for (int64_t j = 0; j < y; ++j) {
      slice_IK.zero_();
      copy_slice(*channels[c], box, j, slice_IK.data_ptr<float>(), z);
      if (bytes) slice_IK.mul_(255).round_();
      out_CIJK[static_cast<int64_t>(c)].select(1, j).copy_(slice_IK);
    }
  return out_CIJK;
}

torch::Tensor packed_classes(const Volume<uint8_t>& classes, const Box& box) {
  const auto& [x, y, z] = box.size;
  torch::Tensor out_IJK = torch::zeros({x, y, z}, torch::kUInt8);
  for (int64_t j = 0; j < y; ++j) copy_slice(classes, box, j, out_IJK.data_ptr<uint8_t>() + j * z, y * z);
  return out_IJK;
}

}  // namespace mambaseg
