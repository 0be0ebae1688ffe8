#include "mambaseg/nets/layers/dropping.h"

namespace mambaseg {

torch::Tensor Dropout::forward(const torch::Tensor& x) { return torch::dropout(x, chance_, is_training()); }

torch::Tensor DropPath::forward(const torch::Tensor& branch) {
  if (!is_training() || chance_ == 0) return branch;
  const double keep = 1 - chance_;
  std::vector<int64_t> per_sample(static_cast<size_t>(branch.dim()), 1);
  per_sample[0] = branch.size(0);
  const torch::Tensor kept = torch::empty(per_sample, branch.options()).bernoulli_(keep);
  return branch * (keep > 0 ? kept / keep : kept);
}

std::vector<double> rising_drop_path(int64_t count, double last) {
  std::vector<double> chances(static_cast<size_t>(count), 0.0);
  for (int64_t i = 1; i < count; ++i)
    chances[static_cast<size_t>(i)] = last * static_cast<double>(i) / static_cast<double>(count - 1);
  return chances;
}

}  // namespace mambaseg
