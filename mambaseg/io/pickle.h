#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mambaseg {

/// One value of a pickle. Containers refer to their entries by position in Pickle::values, so that values may
/// be shared and nested to any depth.
struct PickleValue {
  enum class Kind { none, boolean, integer, real, text, tuple, list, dict, global, storage, tensor };
  Kind kind = Kind::none;
  int64_t integer = 0;  ///< boolean, integer; storage: elements; tensor: offset in elements
  double real = 0;
  std::string text;                     ///< text; global: "module name"; storage: record name
  std::string dtype;                    ///< storage and tensor: number type of the safetensors format
  std::vector<size_t> items;            ///< entries; dict: key, value, key, value, ...; tensor: its storage
  std::vector<int64_t> sizes, strides;  ///< tensor
};

struct Pickle {
  std::vector<PickleValue> values;
  size_t top = 0;  ///< the value that was pickled
};

/// Reads a pickle as torch.save writes it (protocols 2 to 5). Only containers, numbers, texts, storages and
/// tensors can be made; every other class or function is refused by name. Throws Error.
Pickle read_pickle(std::span<const unsigned char> bytes);

}  // namespace mambaseg
