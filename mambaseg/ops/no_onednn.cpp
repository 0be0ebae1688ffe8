// Built instead of onednn.cpp where oneDNN is missing: LibTorch computes everything.

#include "mambaseg/ops/onednn.h"

#include "mambaseg/ops/cast_weights.h"

namespace mambaseg {

struct PackedWeights::Contents {
  CastWeights cast;
};

PackedWeights::PackedWeights() : contents_(std::make_shared<Contents>()) {}

void PackedWeights::forget() const {
  const std::lock_guard<std::mutex> lock(contents_->cast.mutex);
  contents_->cast.state.clear();
}

CastWeights& cast_of(PackedWeights::Contents& contents) { return contents.cast; }

namespace onednn {

bool takes(const torch::Tensor&) { return false; }
bool has_bf16_arithmetic() { return false; }
const char* target() { return "no oneDNN"; }

// Never called, as nothing is taken.
void convolution(const torch::Tensor&, const DenseWeights&, const ConvolutionOptions&, const Epilogue&,
                 torch::Tensor&) {}
void convolution_backward_data(const torch::Tensor&, const DenseWeights&, const ConvolutionOptions&,
                               torch::Tensor&) {}
void convolution_backward_weights(const torch::Tensor&, const torch::Tensor&, const PackedWeights&,
                                  const ConvolutionOptions&, torch::Tensor&, torch::Tensor&) {}
void linear(const torch::Tensor&, const DenseWeights&, const Epilogue&, torch::Tensor&) {}
void linear_backward_data(const torch::Tensor&, const DenseWeights&, torch::Tensor&) {}
void linear_backward_weights(const torch::Tensor&, const torch::Tensor&, const PackedWeights&,
                             torch::Tensor&) {}

}  // namespace onednn
}  // namespace mambaseg
