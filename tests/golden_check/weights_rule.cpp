#include "tests/golden_check/weights_rule.h"

#include <cstdint>

namespace mambaseg {
namespace {

uint64_t fnv1a(const std::string& text) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

}  // namespace

torch::Tensor tensor_by_rule(const std::string& salt, const std::string& name, at::IntArrayRef sizes,
                             double offset, double scale) {
  torch::Tensor tensor = torch::empty(sizes, torch::kFloat);
  auto* values = tensor.data_ptr<float>();
  uint64_t state = fnv1a(salt + "/" + name);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    const double u = static_cast<double>(z >> 40) * 0x1p-23 - 1;
    values[i] = static_cast<float>(offset + scale * u);
  }
  return tensor;
}

}  // namespace mambaseg
