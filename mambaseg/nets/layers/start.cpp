#include "mambaseg/nets/layers/start.h"

#include <cmath>

#include <torch/nn/init.h>

#include "mambaseg/nets/layers/unfilled.h"
#include "mambaseg/ops/epilogue.h"

namespace mambaseg {

namespace {
thread_local bool unfilled_here = false;
}  // namespace

UnfilledWeightsGuard::UnfilledWeightsGuard() : before_(unfilled_here) { unfilled_here = true; }
UnfilledWeightsGuard::~UnfilledWeightsGuard() { unfilled_here = before_; }
bool UnfilledWeightsGuard::active() { return unfilled_here; }

void start_weights(Start start, torch::Tensor& weight, torch::Tensor& bias) {
  if (unfilled_here) return;
  namespace init = torch::nn::init;
  const torch::NoGradGuard no_grad;
  if (start == Start::nnunet) {
    init::kaiming_normal_(weight, kLeakySlope, torch::kFanIn, torch::kLeakyReLU);
    if (bias.defined()) bias.zero_();
    return;
  }
  init::kaiming_uniform_(weight, std::sqrt(5));
  if (!bias.defined()) return;
  const double bound = 1 / std::sqrt(static_cast<double>(weight.numel() / weight.size(0)));
  bias.uniform_(-bound, bound);
}

}  // namespace mambaseg
