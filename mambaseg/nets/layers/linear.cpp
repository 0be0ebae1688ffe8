#include "mambaseg/nets/layers/linear.h"

#include "mambaseg/nets/layers/start.h"

namespace mambaseg {

Linear::Linear(int64_t in, int64_t out, bool with_bias) {
  weight = register_parameter("weight", torch::empty({out, in}));
  if (with_bias) bias = register_parameter("bias", torch::empty({out}));
  start_weights(Start::pytorch, weight, bias);
}

torch::Tensor Linear::run(const torch::Tensor& x, const Epilogue& epilogue, const FixedNorm* norm) {
  return linear(x, {weight, bias, packed_, norm}, epilogue);
}

}  // namespace mambaseg
