#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

namespace mambaseg {

/// Puts `value` at `offset` of `bytes`, with the greatest byte first when `big`.
template <class T>
void put(std::string& bytes, size_t offset, T value, bool big) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  if (big != (std::endian::native == std::endian::big)) std::reverse(raw, raw + sizeof(T));
  if (bytes.size() < offset + sizeof(T)) bytes.resize(offset + sizeof(T), '\0');
  std::memcpy(bytes.data() + offset, raw, sizeof(T));
}

}  // namespace mambaseg
