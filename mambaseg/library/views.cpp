#include "mambaseg/library/views.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "mambaseg/core/error.h"
#include "mambaseg/io/formats.h"

namespace mambaseg {
namespace {

constexpr int64_t kMostValues = int64_t{1} << 40;

template <class... Words>
void expect(bool condition, const char* who, const Words&... words) {
  if (!condition) throw UsageError(concat(who, ": ", words...));
}

/// Where the values of a view lie: its sizes with channels as the fastest axis, and the bytes from one to the
/// next.
struct Layout {
  std::array<int64_t, 4> size{}, stride{};  // channel, i, j, k
  int64_t count = 0;
};

Layout layout_of(const mambaseg_image* view, int64_t value_bytes, const char* who) {
  Layout layout;
  const auto channels = static_cast<int64_t>(std::max(view->channels, 1));
  expect(view->channels >= 0, who, "channels: expected 1 or more, got ", view->channels);
  layout.size = {channels, view->size[0], view->size[1], view->size[2] == 0 ? 1 : view->size[2]};
  layout.count = 1;
  for (const int64_t n : layout.size) {
    expect(n > 0 && n <= kMostValues / layout.count, who, "size: expected 1 or more along each axis, got ",
           view->size[0], "x", view->size[1], "x", view->size[2]);
    layout.count *= n;
  }
  const bool given = view->stride[0] != 0 || view->stride[1] != 0 || view->stride[2] != 0;
  layout.stride[0] = view->channel_stride != 0 ? view->channel_stride : value_bytes;
  if (given) {
    std::copy(view->stride, view->stride + 3, layout.stride.begin() + 1);
  } else {
    expect(view->channel_stride == 0, who,
           "stride: expected those of i, j and k beside that of channels, got 0");
    for (size_t a = 1; a < 4; ++a) layout.stride[a] = layout.stride[a - 1] * layout.size[a - 1];
  }
  for (size_t a = 0; a < 4; ++a)
    expect(layout.size[a] == 1 || layout.stride[a] != 0, who,
           "stride: expected that of every axis with more than one value, got 0");
  return layout;
}

void check_pointers(const mambaseg_image* view, const char* who) {
  expect(view != nullptr, who, "the image is a null pointer");
  expect(view->data != nullptr, who, "the data of the image are a null pointer");
}

/// The values, dense, the first axis fastest. They need not be aligned.
template <class Value>
std::vector<Value> gathered(const void* data, const Layout& layout) {
  std::vector<Value> values(static_cast<size_t>(layout.count));
  const auto* begin = static_cast<const std::byte*>(data);
  const auto [n0, n1, n2, n3] = layout.size;
  const auto [s0, s1, s2, s3] = layout.stride;
  Value* to = values.data();
  for (int64_t k = 0; k < n3; ++k)
    for (int64_t j = 0; j < n2; ++j) {
      const std::byte* row = begin + k * s3 + j * s2;
      for (int64_t i = 0; i < n1; ++i)
        for (int64_t c = 0; c < n0; ++c) std::memcpy(to++, row + i * s1 + c * s0, sizeof(Value));
    }
  return values;
}

VoxelData voxels_of(const mambaseg_image* view, const char* who) {
  const auto of = [&](auto zero) -> VoxelData {
    using Value = decltype(zero);
    return gathered<Value>(view->data, layout_of(view, sizeof(Value), who));
  };
  switch (view->type) {
    case MAMBASEG_UINT8:
      return of(uint8_t{});
    case MAMBASEG_INT8:
      return of(int8_t{});
    case MAMBASEG_UINT16:
      return of(uint16_t{});
    case MAMBASEG_INT16:
      return of(int16_t{});
    case MAMBASEG_UINT32:
      return of(uint32_t{});
    case MAMBASEG_INT32:
      return of(int32_t{});
    case MAMBASEG_UINT64:
      return of(uint64_t{});
    case MAMBASEG_INT64:
      return of(int64_t{});
    case MAMBASEG_FLOAT32:
      return of(float{});
    case MAMBASEG_FLOAT64:
      return of(double{});
    default:
      throw UsageError(concat(who, ": type: expected a mambaseg_type, got ", view->type));
  }
}

Geometry geometry_of(const mambaseg_image* view, const char* who) {
  Geometry geometry;
  geometry.size = {view->size[0], view->size[1], std::max<int64_t>(view->size[2], 1)};
  Affine& map = geometry.voxel_to_ras_mm;
  bool affine = false, spacing = false;
  for (size_t r = 0; r < 3; ++r) {
    spacing = spacing || view->spacing[r] != 0;
    for (size_t c = 0; c < 4; ++c) affine = affine || view->affine[r][c] != 0;
  }
  for (size_t r = 0; r < 3; ++r) {
    if (affine) {
      for (size_t c = 0; c < 3; ++c) map.matrix[r][c] = view->affine[r][c];
      map.offset[r] = view->affine[r][3];
    } else if (spacing) {
      expect(view->spacing[r] > 0 && std::isfinite(view->spacing[r]), who,
             "spacing: expected mm above 0 along each axis, got ", view->spacing[r]);
      map.matrix[r][r] = view->spacing[r];
    }
  }
  const double determinant = map.determinant();
  expect(std::isfinite(determinant) && determinant != 0, who,
         "affine: expected a matrix that has an inverse, its determinant is ", determinant);
  for (const double mm : map.offset)
    expect(std::isfinite(mm), who, "affine: expected finite numbers, got ", mm);
  return geometry;
}

int32_t type_of(const VoxelData& voxels) {
  static_assert(std::variant_size_v<VoxelData> == MAMBASEG_FLOAT64);
  return static_cast<int32_t>(voxels.index()) + MAMBASEG_UINT8;  // in the same order
}

mambaseg_image view_of(const Geometry& geometry, int32_t type, const void* data) {
  mambaseg_image view{};
  view.data = data;
  view.type = type;
  view.channels = 1;
  const Vector3 mm = geometry.spacing_mm();
  for (size_t a = 0; a < 3; ++a) {
    view.size[a] = geometry.size[a];
    view.spacing[a] = mm[a];
    for (size_t c = 0; c < 3; ++c) view.affine[a][c] = geometry.voxel_to_ras_mm.matrix[a][c];
    view.affine[a][3] = geometry.voxel_to_ras_mm.offset[a];
  }
  return view;
}

}  // namespace

Image volume_of(const mambaseg_image* view, const char* who) {
  check_pointers(view, who);
  expect(view->channels <= 1, who, "expected a volume of one channel, got ", view->channels);
  Image image;
  image.voxels = voxels_of(view, who);
  image.geometry = geometry_of(view, who);
  return image;
}

Picture picture_of(const mambaseg_image* view, const char* who) {
  check_pointers(view, who);
  const int32_t channels = std::max(view->channels, 1);
  expect(view->type == MAMBASEG_UINT8, who, "type: expected MAMBASEG_UINT8 of a picture, got ", view->type);
  expect(channels == 1 || channels == 3 || channels == 4, who, "channels: expected 1, 3 or 4, got ",
         channels);
  expect(view->size[2] <= 1, who, "size: expected a picture of one layer, got ", view->size[2]);
  const Layout layout = layout_of(view, 1, who);
  return {view->size[0], view->size[1], channels, gathered<uint8_t>(view->data, layout)};
}

Volume<int32_t> labels_of(const mambaseg_image* view, const char* who) {
  const Image image = volume_of(view, who);
  Volume<int32_t> labels;
  labels.geometry = image.geometry;
  labels.voxels.reserve(static_cast<size_t>(image.geometry.voxel_count()));
  std::visit(
      [&](const auto& voxels) {
        for (const auto value : voxels) {
          const auto number = static_cast<double>(value);
          require(number == std::floor(number) && std::abs(number) <= std::numeric_limits<int32_t>::max(),
                  who, ": expected whole numbers of 32 bits, got ", number);
          labels.voxels.push_back(static_cast<int32_t>(value));
        }
      },
      image.voxels);
  return labels;
}

mambaseg_image view_of(const Image& image) {
  return view_of(image.geometry, type_of(image.voxels), bytes_of(image.voxels).data());
}

mambaseg_image view_of(const Volume<int32_t>& labels) {
  return view_of(labels.geometry, MAMBASEG_INT32, labels.voxels.data());
}

mambaseg_image view_of(const Picture& picture) {
  mambaseg_image view{};
  view.data = picture.values.data();
  view.type = MAMBASEG_UINT8;
  view.channels = picture.channels;
  view.size[0] = picture.width;
  view.size[1] = picture.height;
  view.size[2] = 1;
  return view;
}

}  // namespace mambaseg
