#include "mambaseg/nets/layers/recompute.h"

#include "mambaseg/core/error.h"

namespace mambaseg {
namespace {

int64_t told(torch::nn::Module& module) {
  if (auto* block = dynamic_cast<Recomputable*>(&module)) {
    block->recompute(true);
    return 1;
  }
  int64_t count = 0;
  for (const auto& part : module.children()) count += told(*part);
  return count;
}

}  // namespace

torch::Tensor Recomputable::computed(torch::nn::Module& self, const std::vector<torch::Tensor>& inputs,
                                     const Computation& compute) const {
  if (!torch::GradMode::is_enabled()) return compute(inputs);
  if (!recomputes_) {
    // The gradients that an input gets within the block are added up before those from elsewhere, as they are
    // where the block is computed again: sums in another order have other bits.
    std::vector<torch::Tensor> own;
    for (const torch::Tensor& x : inputs) own.push_back(x.requires_grad() ? x.view_as(x) : x);
    return compute(own);
  }
  // The block lives until its backward pass is over.
  const auto kept = [owner = self.shared_from_this(), compute](const std::vector<torch::Tensor>& again) {
    return compute(again);
  };
  return recomputed(kept, inputs, self.parameters());
}

torch::Tensor RecomputableLayer::forward(const torch::Tensor& x) {
  return computed(*this, {x}, [this](const std::vector<torch::Tensor>& in) { return compute(in[0]); });
}

void recompute_blocks(torch::nn::Module& network) {
  if (told(network) == 0)
    throw UsageError("training.recompute: expected blocks that can be computed again, got a network without");
}

}  // namespace mambaseg
