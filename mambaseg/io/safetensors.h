#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mambaseg {

/// A tensor as stored in a file: type name of the safetensors format ("F32", "I64", "U8", "BOOL", ...),
/// sizes, and the bytes, little-endian, last axis fastest.
struct StoredTensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> sizes;
  std::span<const std::byte> bytes;
};

/// Named tensors and text metadata; `storage` keeps the bytes alive (a mapped file or an owned buffer).
struct TensorFile {
  std::map<std::string, std::string> metadata;
  std::vector<StoredTensor> tensors;
  std::shared_ptr<const void> storage;

  /// The tensor of that name, or nullptr.
  const StoredTensor* find(const std::string& name) const;
};

/// Bytes of one element of a safetensors dtype; throws Error on an unknown one.
size_t dtype_size(const std::string& dtype);

/// Maps a .safetensors file. Throws Error naming the path and what is wrong (header length, JSON, overlap,
/// hole, offsets past the end, size that does not fit the shape).
TensorFile read_safetensors(const std::string& path);

/// Writes atomically: header padded to 8 bytes, tensors in the given order.
void write_safetensors(const std::string& path, const TensorFile& file);

}  // namespace mambaseg
