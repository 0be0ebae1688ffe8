// For builds without CUDA: nothing here may be called but cuda_kernels_built().

#include <cstdlib>

#include "mambaseg/kernels/depthwise_conv_cuda.h"
#include "mambaseg/kernels/selective_scan_cuda.h"

namespace mambaseg {

bool cuda_kernels_built() { return false; }

int64_t depthwise_conv_cuda_scratch(const DepthwiseConvCuda&) { std::abort(); }

template <class Input>
int64_t selective_scan_cuda_scratch(const SelectiveScanCuda<Input>&) {
  std::abort();
}
template <class Input>
void selective_scan_forward_cuda(const SelectiveScanCuda<Input>&, const SelectiveScanCudaOutput<Input>&,
                                 void*) {
  std::abort();
}
template <class Input>
void selective_scan_backward_cuda(const SelectiveScanCuda<Input>&, const SelectiveScanCudaGradients<Input>&,
                                  void*) {
  std::abort();
}
template <class T>
void depthwise_conv_forward_cuda(const DepthwiseConvCuda&, const T*, const float*, const float*, bool, T*,
                                 void*) {
  std::abort();
}
template <class T>
void depthwise_conv_backward_weight_cuda(const DepthwiseConvCuda&, const T*, const T*, float*, float*, float*,
                                         void*) {
  std::abort();
}

template int64_t selective_scan_cuda_scratch(const SelectiveScanCuda<float>&);
template int64_t selective_scan_cuda_scratch(const SelectiveScanCuda<Bfloat16>&);
template void selective_scan_forward_cuda(const SelectiveScanCuda<float>&,
                                          const SelectiveScanCudaOutput<float>&, void*);
template void selective_scan_forward_cuda(const SelectiveScanCuda<Bfloat16>&,
                                          const SelectiveScanCudaOutput<Bfloat16>&, void*);
template void selective_scan_backward_cuda(const SelectiveScanCuda<float>&,
                                           const SelectiveScanCudaGradients<float>&, void*);
template void selective_scan_backward_cuda(const SelectiveScanCuda<Bfloat16>&,
                                           const SelectiveScanCudaGradients<Bfloat16>&, void*);
template void depthwise_conv_forward_cuda(const DepthwiseConvCuda&, const float*, const float*, const float*,
                                          bool, float*, void*);
template void depthwise_conv_forward_cuda(const DepthwiseConvCuda&, const Bfloat16*, const float*,
                                          const float*, bool, Bfloat16*, void*);
template void depthwise_conv_backward_weight_cuda(const DepthwiseConvCuda&, const float*, const float*,
                                                  float*, float*, float*, void*);
template void depthwise_conv_backward_weight_cuda(const DepthwiseConvCuda&, const Bfloat16*, const Bfloat16*,
                                                  float*, float*, float*, void*);

}  // namespace mambaseg
