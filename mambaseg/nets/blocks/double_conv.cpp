#include "mambaseg/nets/blocks/double_conv.h"

#include "mambaseg/nets/layers/convolution.h"
#include "mambaseg/nets/layers/norm.h"

namespace mambaseg {

std::shared_ptr<Sequence> double_conv(int64_t in, int64_t out, const DoubleConvSettings& s) {
  const int64_t middle = s.middle > 0 ? s.middle : out;
  const auto conv3 = [&](int64_t from, int64_t to) { return conv(2, from, to, 3, {.bias = s.bias}); };
  const auto norm = [](int64_t channels) { return std::make_shared<BatchNorm>(channels); };
  auto layers =
      sequence({conv3(in, middle), norm(middle), activation(s.activation), conv3(middle, out), norm(out)});
  if (s.last_activation) layers->push_back(activation(s.activation));
  return layers;
}

}  // namespace mambaseg
