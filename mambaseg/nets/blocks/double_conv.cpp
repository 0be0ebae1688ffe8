#include "mambaseg/nets/blocks/double_conv.h"

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"

namespace mambaseg {

std::shared_ptr<Sequence> double_conv(int64_t in, int64_t out, bool bias) {
  const auto conv3 = [bias](int64_t from, int64_t to) { return conv(2, from, to, 3, {.bias = bias}); };
  const auto norm = [out] { return std::make_shared<BatchNorm>(out); };
  return sequence({conv3(in, out), norm(), relu(), conv3(out, out), norm(), relu()});
}

}  // namespace mambaseg
