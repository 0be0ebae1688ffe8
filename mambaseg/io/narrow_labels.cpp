#include "mambaseg/io/narrow_labels.h"

#include <cassert>

#include "mambaseg/io/image.h"

namespace mambaseg {
namespace {

template <class T>
size_t place_of() {
  return VoxelData(std::vector<T>()).index();
}

template <class T>
void narrow_to(std::span<const int32_t> labels, std::span<std::byte> bytes) {
  assert(bytes.size() == labels.size() * sizeof(T));
  T* const out = reinterpret_cast<T*>(bytes.data());
  const int32_t* const in = labels.data();
#pragma omp simd
  for (size_t v = 0; v < labels.size(); ++v) out[v] = static_cast<T>(in[v]);
}

}  // namespace

size_t smallest_type(std::span<const int32_t> labels) {
  const int32_t* const in = labels.data();
  int32_t any = 0, sizes = 0;  // bits of all labels; of their sizes, ~v for those below 0
#pragma omp simd reduction(| : any, sizes)
  for (size_t v = 0; v < labels.size(); ++v) {
    any |= in[v];
    sizes |= in[v] ^ (in[v] >> 31);
  }
  if (any >= 0 && any <= UINT8_MAX) return place_of<uint8_t>();
  return sizes <= INT16_MAX ? place_of<int16_t>() : place_of<int32_t>();
}

void narrow(std::span<const int32_t> labels, size_t type, std::span<std::byte> out) {
  if (type == place_of<uint8_t>()) return narrow_to<uint8_t>(labels, out);
  if (type == place_of<int16_t>()) return narrow_to<int16_t>(labels, out);
  assert(type == place_of<int32_t>());
  narrow_to<int32_t>(labels, out);
}

}  // namespace mambaseg
