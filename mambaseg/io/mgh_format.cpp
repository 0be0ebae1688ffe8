// FreeSurfer's MGH and MGZ: a big-endian header of 284 bytes, the voxels, and tags that are not read.
// Layout: https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "mambaseg/core/error.h"
#include "mambaseg/io/atomic_file.h"
#include "mambaseg/io/byte_file.h"
#include "mambaseg/io/formats.h"

namespace mambaseg {
namespace {

constexpr size_t kHeaderBytes = 284;
enum Type : int32_t { kUint8 = 0, kInt32 = 1, kFloat = 3, kInt16 = 4, kUint16 = 10 };

/// Turns big-endian values of `size` bytes into the machine's, and back.
void swap_big_endian(std::span<std::byte> bytes, size_t size) {
  if constexpr (std::endian::native != std::endian::big) swap_bytes(bytes, size);
}

/// Walks through the header, value after value.
class Fields {
 public:
  template <class T>
  T next() {
    T value;
    std::array<std::byte, sizeof(T)> raw;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at_), sizeof(T), raw.begin());
    swap_big_endian(raw, sizeof(T));
    std::memcpy(&value, raw.data(), sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  template <class T>
  void put(T value) {
    std::array<std::byte, sizeof(T)> raw;
    std::memcpy(raw.data(), &value, sizeof(T));
    swap_big_endian(raw, sizeof(T));
    std::copy(raw.begin(), raw.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ += sizeof(T);
  }

  std::array<std::byte, kHeaderBytes> bytes{};

 private:
  size_t at_ = 0;
};

VoxelData empty_voxels(int32_t type, size_t count) {
  switch (type) {
    case kUint8:
      return std::vector<uint8_t>(count);
    case kInt32:
      return std::vector<int32_t>(count);
    case kFloat:
      return std::vector<float>(count);
    case kInt16:
      return std::vector<int16_t>(count);
    case kUint16:
      return std::vector<uint16_t>(count);
    default:
      throw Error(concat("voxels of MGH type ", type, " are not read; expected 0, 1, 3, 4 or 10"));
  }
}

template <class T, class U>
bool all_fit(const std::vector<U>& values) {
  return std::all_of(values.begin(), values.end(), [](U v) {
    if constexpr (std::is_unsigned_v<U>) {
      return v <= static_cast<uint64_t>(std::numeric_limits<T>::max());
    } else {
      return v >= std::numeric_limits<T>::min() && v <= std::numeric_limits<T>::max();
    }
  });
}

/// The voxels in the smallest of MGH's four types that holds them; double becomes float.
VoxelData in_mgh_type(const VoxelData& voxels) {
  return std::visit(
      [](const auto& in) -> VoxelData {
        using T = typename std::decay_t<decltype(in)>::value_type;
        if constexpr (std::is_same_v<T, uint8_t> || std::is_same_v<T, int32_t> || std::is_same_v<T, float> ||
                      std::is_same_v<T, int16_t>) {
          return in;
        } else if constexpr (std::is_same_v<T, double>) {
          return std::vector<float>(in.begin(), in.end());
        } else {
          if (all_fit<int16_t>(in)) return std::vector<int16_t>(in.begin(), in.end());
          require(all_fit<int32_t>(in),
                  "MGH has no type for whole numbers of this size; write NIfTI instead");
          return std::vector<int32_t>(in.begin(), in.end());
        }
      },
      voxels);
}

int32_t type_of(const VoxelData& voxels) {
  if (std::holds_alternative<std::vector<uint8_t>>(voxels)) return kUint8;
  if (std::holds_alternative<std::vector<int32_t>>(voxels)) return kInt32;
  return std::holds_alternative<std::vector<float>>(voxels) ? kFloat : kInt16;
}

}  // namespace

Image read_mgh(const std::string& path, Part part, const Warn& warn) {
  ByteReader file(path);
  Fields header;
  file.read(header.bytes.data(), kHeaderBytes, "the MGH header");
  const auto version = header.next<int32_t>();  // new files say in the second byte what the volume is for
  require((version & 0xff) == 1, "this is not an MGH file (version ", version, ", expected 1)");
  std::vector<int64_t> sizes(4);
  for (int64_t& n : sizes) n = header.next<int32_t>();
  if (sizes[3] == 1) sizes.pop_back();
  const auto type = header.next<int32_t>();
  header.next<int32_t>();  // degrees of freedom, of no use here
  const bool has_geometry = header.next<int16_t>() > 0;
  const auto count = static_cast<size_t>(checked_voxel_count(sizes));
  empty_voxels(type, 0);  // refuses types that are not read, before voxels are

  Image image;
  image.geometry.size = {sizes[0], sizes[1], sizes[2]};
  Vector3 spacing{1, 1, 1}, centre{0, 0, 0};
  std::array<Vector3, 3> directions{{{-1, 0, 0}, {0, 0, -1}, {0, 1, 0}}};  // FreeSurfer's default: coronal
  if (has_geometry) {
    for (double& s : spacing) s = header.next<float>();
    for (Vector3& direction : directions)
      for (double& d : direction) d = header.next<float>();
    for (double& c : centre) c = header.next<float>();
  } else if (warn) {
    warn("the header says nothing about orientation; 1 mm and FreeSurfer's coronal axes are taken");
  }
  Affine& affine = image.geometry.voxel_to_ras_mm;
  affine.offset = centre;
  for (int row = 0; row < 3; ++row)
    for (int axis = 0; axis < 3; ++axis) {
      affine.matrix[row][axis] = directions[axis][row] * spacing[axis];
      affine.offset[row] -= affine.matrix[row][axis] * static_cast<double>(sizes[axis]) / 2;
    }
  if (part == Part::kGeometry) return image;

  const size_t size = bytes_of(empty_voxels(type, 1)).size();
  file.expect(count * size, "the voxel data");
  image.voxels = empty_voxels(type, count);
  file.read(bytes_of(image.voxels).data(), count * size, "the voxel data");
  file.finish();
  swap_big_endian(bytes_of(image.voxels), size);
  return image;
}

void write_mgh(const std::string& path, const Image& image) {
  const Index3& n = image.geometry.size;
  const int64_t limit = std::numeric_limits<int32_t>::max();
  require(std::max({n[0], n[1], n[2]}) <= limit, "MGH cannot hold ", describe(image.geometry));
  VoxelData voxels = in_mgh_type(image.voxels);
  Fields header;
  header.put<int32_t>(1);
  for (const int64_t size : n) header.put(static_cast<int32_t>(size));
  header.put<int32_t>(1);  // frames
  header.put(type_of(voxels));
  header.put<int32_t>(0);
  header.put<int16_t>(1);  // geometry follows
  const Vector3 spacing = image.geometry.spacing_mm();
  const Affine& affine = image.geometry.voxel_to_ras_mm;
  for (const double s : spacing) header.put(static_cast<float>(s));
  for (int axis = 0; axis < 3; ++axis)
    for (int row = 0; row < 3; ++row)
      header.put(static_cast<float>(affine.matrix[row][axis] / spacing[axis]));
  const Vector3 centre =
      affine({static_cast<double>(n[0]) / 2, static_cast<double>(n[1]) / 2, static_cast<double>(n[2]) / 2});
  for (const double c : centre) header.put(static_cast<float>(c));

  const size_t size = type_of(voxels) == kUint8 ? 1 : type_of(voxels) == kInt16 ? 2 : 4;
  swap_big_endian(bytes_of(voxels), size);
  const bool packed = !(path.ends_with(".mgh") || path.ends_with(".MGH"));
  write_atomically(path, [&](const std::string& temporary) {
    ByteWriter file(temporary, packed ? ByteWriter::Packing::kGzip : ByteWriter::Packing::kNone);
    file.write(header.bytes.data(), header.bytes.size());
    file.write(bytes_of(voxels).data(), bytes_of(voxels).size());
    file.close();
  });
}

}  // namespace mambaseg
