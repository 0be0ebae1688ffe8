#include "mambaseg/nets/blocks/ssm_init.h"

#include <cmath>

namespace mambaseg::ssm_init {

torch::Tensor A_log(int64_t rows, int64_t states) {
  return torch::arange(1, states + 1, torch::kFloat).log().repeat({rows, 1});
}

torch::Tensor dt_weight(at::IntArrayRef sizes, int64_t rank) {
  const double bound = 1 / std::sqrt(static_cast<double>(rank));
  return torch::empty(sizes).uniform_(-bound, bound);
}

torch::Tensor dt_bias(at::IntArrayRef sizes) {
  constexpr double low = 0.001, high = 0.1, floor = 1e-4;
  const torch::Tensor dt = (torch::rand(sizes) * std::log(high / low) + std::log(low)).exp().clamp_min(floor);
  return dt + torch::log(-torch::expm1(-dt));
}

}  // namespace mambaseg::ssm_init
