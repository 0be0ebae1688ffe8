#include "mambaseg/ops/cast_weights.h"

namespace mambaseg {

void add_state(const torch::Tensor& parameter, std::vector<int64_t>& state) {
  state.push_back(parameter.defined() ? reinterpret_cast<int64_t>(parameter.data_ptr()) : 0);
  state.push_back(
      parameter.defined() && !parameter.is_inference() ? static_cast<int64_t>(parameter._version()) : 0);
}

std::pair<torch::Tensor, torch::Tensor> cast_weights(const DenseWeights& w, torch::ScalarType type) {
  std::vector<int64_t> state{static_cast<int64_t>(type)};
  add_state(w.weight, state);
  add_state(w.bias, state);
  CastWeights& cast = cast_of(w.packed.contents());
  const std::lock_guard<std::mutex> lock(cast.mutex);
  if (cast.state != state) {
    cast.weight = w.weight.detach().to(type);
    cast.bias = w.bias.defined() ? w.bias.detach().to(type) : torch::Tensor();
    cast.state = state;
  }
  return {cast.weight, cast.bias};
}

}  // namespace mambaseg
